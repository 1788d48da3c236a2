// SPDX-License-Identifier: MIT
#include "data/synthetic.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "kernels/check.h"
#include "kernels/cpu/device/thread_pool.h"
#include "tests/support/errors.h"

namespace msd {
namespace {

SyntheticOptions sizes(std::int64_t train, std::int64_t test, std::uint64_t seed = 1) {
  return {seed, train, test};
}

TEST(Synthetic, HasTheShapeItPromises) {
  const Dataset data = make_synthetic(sizes(240, 80));
  EXPECT_EQ(data.name, "synthetic");
  EXPECT_EQ(data.classes(), 10);
  EXPECT_EQ(std::set<std::string>(data.class_names.begin(), data.class_names.end()).size(), 10u);
  EXPECT_EQ(data.train.size(), 240);
  EXPECT_EQ(data.test.size(), 80);
  for (const ImageSet* set : {&data.train, &data.test}) {
    EXPECT_EQ(set->h, 32);
    EXPECT_EQ(set->w, 32);
    EXPECT_EQ(set->c, 3);
    EXPECT_EQ(set->images.size(), static_cast<std::size_t>(set->size() * 32 * 32 * 3));
  }
  EXPECT_EQ(data.fingerprint, fingerprint(data.train, data.test));
}

TEST(Synthetic, HoldsEachClassAtEachLevelOnce) {
  const Dataset data = make_synthetic(sizes(160, 80));
  std::set<std::pair<int, int>> seen;
  for (std::int64_t i = 80; i < 160; ++i) {
    seen.emplace(data.train.labels[static_cast<std::size_t>(i)], synthetic_level(i));
  }
  EXPECT_EQ(seen.size(), 80u);
}

// Written down from the first run: a change means that everybody's synthetic data changes, and
// a difference between machines means that the bytes are not what synthetic.h promises.
TEST(Synthetic, BytesAreTheSameOnEveryMachine) {
  EXPECT_EQ(make_synthetic(sizes(400, 100)).fingerprint,
            "xxh3-128:f55804a5027897a522070af3d03732a2");
  EXPECT_EQ(make_synthetic(sizes(80, 80, 0xfedcba9876543210)).fingerprint,
            "xxh3-128:5f7e70dc8971d6e2df3438d780610802");
}

TEST(Synthetic, ThreadsDoNotMatter) {
  const std::string alone = make_synthetic(sizes(300, 50)).fingerprint;
  for (const int threads : {1, 2, 5}) {
    cpu::ThreadPool pool(threads);
    EXPECT_EQ(make_synthetic(sizes(300, 50), &pool).fingerprint, alone) << threads;
  }
}

TEST(Synthetic, AnImageDoesNotDependOnHowManyThereAre) {
  const Dataset few = make_synthetic(sizes(20, 10)), many = make_synthetic(sizes(50, 30));
  EXPECT_TRUE(
      std::equal(few.train.images.begin(), few.train.images.end(), many.train.images.begin()));
  EXPECT_TRUE(std::equal(few.test.images.begin(), few.test.images.end(), many.test.images.begin()));
}

TEST(Synthetic, SeedsAndPartsDiffer) {
  const Dataset one = make_synthetic(sizes(20, 20)), two = make_synthetic(sizes(20, 20, 2));
  EXPECT_NE(one.train.images, two.train.images);
  EXPECT_NE(one.train.images, one.test.images);
  std::set<std::vector<std::uint8_t>> distinct;
  for (std::int64_t i = 0; i < 20; ++i) {
    for (const ImageSet* set : {&one.train, &one.test, &two.train, &two.test}) {
      distinct.emplace(set->image(i).begin(), set->image(i).end());
    }
  }
  EXPECT_EQ(distinct.size(), 80u);
}

TEST(Synthetic, MeanAndStdAreThoseOfTheTrainingImages) {
  const Dataset data = make_synthetic(sizes(200, 10));
  for (std::size_t c = 0; c < 3; ++c) {
    double sum = 0.0, deviations = 0.0;
    const double count = 200.0 * 1024.0;
    for (std::size_t i = c; i < data.train.images.size(); i += 3) sum += data.train.images[i];
    for (std::size_t i = c; i < data.train.images.size(); i += 3) {
      deviations += std::pow(data.train.images[i] - sum / count, 2.0);
    }
    EXPECT_NEAR(data.mean[c], sum / count, 1e-4);
    EXPECT_NEAR(data.std[c], std::sqrt(deviations / count), 1e-4);
  }
}

/// How much of the image is fine grain: the mean square of each pixel less its four neighbours.
double roughness(std::span<const std::uint8_t> image) {
  double sum = 0.0;
  for (std::size_t y = 1; y < 31; ++y) {
    for (std::size_t x = 1; x < 31; ++x) {
      const auto at = [&](std::size_t v, std::size_t u) {
        return static_cast<double>(image[(v * 32 + u) * 3]);
      };
      const double curve =
          4.0 * at(y, x) - at(y - 1, x) - at(y + 1, x) - at(y, x - 1) - at(y, x + 1);
      sum += curve * curve;
    }
  }
  return sum;
}

TEST(Synthetic, LevelsRiseInClutterAndFallInContrast) {
  const Dataset data = make_synthetic(sizes(1600, 1));
  std::array<double, kSyntheticLevels> rough{}, spread{};
  for (std::int64_t i = 0; i < 1600; ++i) {
    const auto level = static_cast<std::size_t>(synthetic_level(i));
    const auto image = data.train.image(i);
    rough[level] += roughness(image);
    double sum = 0.0, squares = 0.0;
    for (const std::uint8_t value : image) {
      sum += value;
      squares += static_cast<double>(value) * value;
    }
    spread[level] += squares / 3072.0 - std::pow(sum / 3072.0, 2.0);
  }
  EXPECT_GT(rough.back(), 2.0 * rough.front());
  EXPECT_LT(spread.back(), spread.front());
}

TEST(Synthetic, RefusesEmptyParts) {
  EXPECT_THROW(make_synthetic(sizes(0, 1)), ConfigError);
  EXPECT_THROW(make_synthetic(sizes(1, 0)), ConfigError);
  EXPECT_THROW(make_synthetic(sizes(-5, 1)), ConfigError);
}

TEST(Synthetic, TellsWhichOptionAsksForTooFewOrTooMany) {
  const std::int64_t most = std::numeric_limits<std::int64_t>::max();
  for (const std::int64_t count : {std::int64_t{0}, std::int64_t{-1}, most}) {
    EXPECT_TRUE(test::throws<ConfigError>([&] { make_synthetic(sizes(count, 10)); },
                                          {message("--synthetic-train ", count), "1 to "}));
    EXPECT_TRUE(test::throws<ConfigError>([&] { make_synthetic(sizes(10, count)); },
                                          {message("--synthetic-test ", count), "1 to "}));
  }
}

}  // namespace
}  // namespace msd
