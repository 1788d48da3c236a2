// SPDX-License-Identifier: MIT
#include "data/dataset.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "engine/files/hash.h"
#include "kernels/error.h"

namespace msd {
namespace {

ImageSet small(std::uint8_t first) {
  ImageSet set;
  set.h = 1;
  set.w = 2;
  set.c = 3;
  for (std::uint8_t i = 0; i < 12; ++i) set.images.push_back(static_cast<std::uint8_t>(first + i));
  set.labels = {1, 259};
  return set;
}

// The documented byte order spelled out.
TEST(Fingerprint, IsTheHashOfTheDocumentedBytes) {
  std::vector<int> bytes;
  for (const int first : {10, 100}) {
    for (const int size : {2, 1, 2, 3}) {
      bytes.push_back(size);
      bytes.insert(bytes.end(), 7, 0);
    }
    for (int i = 0; i < 12; ++i) bytes.push_back(first + i);
    for (const int byte : {1, 0, 0, 0, 3, 1, 0, 0}) bytes.push_back(byte);
  }
  Hash hash;
  for (const int byte : bytes) hash.add(std::string(1, static_cast<char>(byte)));
  EXPECT_EQ(fingerprint(small(10), small(100)), hash.text());
}

TEST(Fingerprint, SeesEveryPart) {
  const ImageSet set = small(10);
  const std::string base = fingerprint(set, set);
  for (int change = 0; change < 4; ++change) {
    ImageSet other = set;
    if (change == 0) other.images[11] ^= 1;
    if (change == 1) other.labels[1] += 65536;
    if (change == 2) std::swap(other.h, other.w);
    if (change == 3) std::swap(other.labels[0], other.labels[1]);
    EXPECT_NE(fingerprint(other, set), base) << change;
    EXPECT_NE(fingerprint(set, other), base) << change;
  }
}

TEST(ChannelStatistics, AreExactOnIntegers) {
  Dataset data;
  data.train.h = 1;
  data.train.w = 2;
  data.train.c = 3;
  data.train.labels = {0, 0};
  data.train.images = {1, 255, 7, 3, 0, 7, 1, 0, 7, 3, 255, 7};
  set_channel_statistics(data);
  EXPECT_EQ(data.mean, (std::array<float, 3>{2.0f, 127.5f, 7.0f}));
  // The third channel is flat: 1, so that normalising gives 0 and not 0/0.
  EXPECT_EQ(data.std, (std::array<float, 3>{1.0f, 127.5f, 1.0f}));
}

// One pixel of 2^20 is off by one: the variance is 1/n - 1/n^2, which sums in double would lose
// against the square of the mean.
TEST(ChannelStatistics, KeepASmallSpread) {
  Dataset data;
  data.train.h = data.train.w = 1024;
  data.train.c = 3;
  data.train.labels = {0};
  data.train.images.assign(std::size_t{3} << 20, 255);
  data.train.images[5] = 254;
  set_channel_statistics(data);
  const double n = 1 << 20;
  EXPECT_FLOAT_EQ(data.std[2], static_cast<float>(std::sqrt(n - 1) / n));
  EXPECT_EQ(data.std[0], 1.0f);
}

TEST(ChannelStatistics, RefuseAnEmptySet) {
  Dataset data;
  data.train.c = 3;
  EXPECT_THROW(set_channel_statistics(data), ShapeError);
}

TEST(ImageSet, ImageIsItsBytes) {
  const ImageSet set = small(10);
  EXPECT_EQ(set.size(), 2);
  ASSERT_EQ(set.image(1).size(), 6u);
  EXPECT_EQ(set.image(1)[0], 16);
}

}  // namespace
}  // namespace msd
