// SPDX-License-Identifier: MIT
#include "engine/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <set>
#include <vector>

namespace msd {
namespace {

using Words = std::array<std::uint32_t, 4>;

// The published vectors of Random123 for philox4x32 with 10 rounds.
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0}, {0, 0, 0, 0}),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const std::uint32_t ones = 0xffffffff;
  EXPECT_EQ(philox4x32({ones, ones}, {ones, ones, ones, ones}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0xa4093822, 0x299f31d0}, {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RandomStream, YieldsTheBlocksOfItsName) {
  const std::uint64_t seed = 0x0123456789abcdef;
  RandomStream stream(seed, RandomPurpose::augmentation, 7, 9);
  for (std::uint32_t block = 0; block < 3; ++block) {
    const Words expected = philox4x32({0x89abcdef, 0x01234567}, {block, 9, 7, 3});
    for (const std::uint32_t word : expected) EXPECT_EQ(stream.next_u32(), word);
  }
}

TEST(RandomStream, NamesDoNotShareSequences) {
  std::set<std::uint32_t> first;
  int streams = 0;
  for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 32}) {
    for (const RandomPurpose purpose : {RandomPurpose::shuffle, RandomPurpose::augmentation}) {
      for (std::uint64_t a = 0; a < 3; ++a) {
        for (std::uint64_t b = 0; b < 3; ++b, ++streams) {
          first.insert(RandomStream(seed, purpose, a, b).next_u32());
        }
      }
    }
  }
  EXPECT_EQ(static_cast<int>(first.size()), streams);
}

TEST(RandomStream, ACopyDrawsTheSameAgain) {
  RandomStream stream(5, RandomPurpose::test);
  stream.normal();
  stream.next_u32();
  RandomStream copy = stream;
  for (int i = 0; i < 9; ++i) EXPECT_EQ(stream.normal(), copy.normal());
}

TEST(RandomStream, RefusesNamesAndRangesOutOfBounds) {
  EXPECT_THROW(RandomStream(1, RandomPurpose::test, std::uint64_t{1} << 32), ShapeError);
  EXPECT_THROW(RandomStream(1, RandomPurpose::test, 0, std::uint64_t{1} << 32), ShapeError);
  RandomStream stream(1, RandomPurpose::test);
  EXPECT_THROW(stream.below(0), ShapeError);
  EXPECT_THROW(stream.below(-3), ShapeError);
  EXPECT_THROW(stream.below((std::int64_t{1} << 32) + 1), ShapeError);
  EXPECT_THROW(random_permutation(-1, stream), ShapeError);
}

TEST(RandomStream, UniformIsExactlyTheTopBits) {
  RandomStream words(11, RandomPurpose::test), stream(11, RandomPurpose::test);
  double sum = 0.0, squares = 0.0;
  const int count = 100000;
  for (int i = 0; i < count; ++i) {
    const std::uint64_t high = words.next_u32() / 32, low = words.next_u32() / 64;
    const double u = stream.uniform();
    EXPECT_EQ(u, (static_cast<double>(high) * 67108864.0 + static_cast<double>(low)) /
                     9007199254740992.0);
    EXPECT_TRUE(u >= 0.0 && u < 1.0);
    sum += u;
    squares += u * u;
  }
  // 6 standard errors: sqrt(1/12 / count) = 0.0009, sqrt(4/45 / count) = 0.00094.
  EXPECT_NEAR(sum / count, 0.5, 0.0055);
  EXPECT_NEAR(squares / count, 1.0 / 3.0, 0.0057);
  RandomStream scaled(11, RandomPurpose::test);
  for (int i = 0; i < 1000; ++i) {
    const double u = scaled.uniform(-0.25, 3.0);
    EXPECT_TRUE(u >= -0.25 && u <= 3.0) << u;
  }
}

TEST(RandomStream, BelowIsEvenAndReachesItsWholeRange) {
  for (const std::int64_t n : {1, 2, 3, 9, 10, 81}) {
    RandomStream stream(3, RandomPurpose::test, static_cast<std::uint64_t>(n));
    std::vector<double> seen(static_cast<std::size_t>(n));
    const double each = 2000.0;
    for (std::int64_t i = 0; i < 2000 * n; ++i) {
      const std::int64_t value = stream.below(n);
      ASSERT_TRUE(value >= 0 && value < n);
      seen[static_cast<std::size_t>(value)] += 1.0;
    }
    for (const double count : seen) EXPECT_NEAR(count, each, 6.0 * std::sqrt(each)) << "n = " << n;
  }
  // 2^32 words onto 3 * 2^30 values: without the rejection every third value comes up twice as
  // often.
  RandomStream stream(3, RandomPurpose::test, 1000);
  double thirds = 0.0;
  for (int i = 0; i < 90000; ++i) {
    thirds += stream.below(std::int64_t{3} << 30) % 3 == 0 ? 1.0 : 0.0;
  }
  EXPECT_NEAR(thirds, 30000.0, 6.0 * std::sqrt(20000.0));
  RandomStream words(4, RandomPurpose::test), whole(4, RandomPurpose::test);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(whole.below(std::int64_t{1} << 32), words.next_u32());
}

TEST(RandomStream, NormalHasTheRightMomentsAndTails) {
  RandomStream stream(17, RandomPurpose::weights);
  const int count = 200000;
  double sum = 0.0, squares = 0.0, fourths = 0.0, beyond_two = 0.0, products = 0.0, last = 0.0;
  for (int i = 0; i < count; ++i) {
    const double x = stream.normal();
    ASSERT_TRUE(std::isfinite(x));
    sum += x;
    squares += x * x;
    fourths += x * x * x * x;
    beyond_two += std::abs(x) > 2.0 ? 1.0 : 0.0;
    products += x * last;
    last = x;
  }
  const double error = 6.0 / std::sqrt(count);  // times each statistic's standard deviation
  EXPECT_NEAR(sum / count, 0.0, error);
  EXPECT_NEAR(squares / count, 1.0, error * std::sqrt(2.0));
  EXPECT_NEAR(fourths / count, 3.0, error * std::sqrt(96.0));
  EXPECT_NEAR(beyond_two / count, 0.0455, error * 0.21);
  EXPECT_NEAR(products / count, 0.0, error);
}

TEST(RandomPermutation, IsAPermutationAndReachesAllOrders) {
  RandomStream stream(23, RandomPurpose::shuffle);
  for (const std::int64_t n : {0, 1, 2, 17, 1000}) {
    std::vector<std::int64_t> order = random_permutation(n, stream);
    std::sort(order.begin(), order.end());
    ASSERT_EQ(static_cast<std::int64_t>(order.size()), n);
    for (std::int64_t i = 0; i < n; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
  }
  std::vector<double> seen(24);
  for (int i = 0; i < 24000; ++i) {
    const std::vector<std::int64_t> p = random_permutation(4, stream);
    const std::int64_t rank = p[0] * 6 + (p[1] - (p[1] > p[0] ? 1 : 0)) * 2 + (p[2] > p[3] ? 1 : 0);
    seen[static_cast<std::size_t>(rank)] += 1.0;
  }
  for (const double count : seen) EXPECT_NEAR(count, 1000.0, 6.0 * std::sqrt(1000.0));
}

}  // namespace
}  // namespace msd
