// SPDX-License-Identifier: MIT
#include "models/exits/confidence_reader.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "engine/random.h"

namespace msd {
namespace {

TEST(LikeliestClasses, FallingTiesByRisingIndex) {
  const auto of = [](const std::vector<double>& values, std::size_t count) {
    std::vector<std::int32_t> out(count, -7);
    likeliest_classes(values, out);
    return out;
  };
  using Indices = std::vector<std::int32_t>;
  EXPECT_EQ(of({1, 3, 2}, 2), (Indices{1, 2}));
  EXPECT_EQ(of({2, 2, 2, 2}, 3), (Indices{0, 1, 2}));
  EXPECT_EQ(of({1, 5, 5, 0, 5}, 4), (Indices{1, 2, 4, 0}));
  EXPECT_EQ(of({1, 2}, 5), (Indices{1, 0, -1, -1, -1}));
  EXPECT_EQ(of({}, 2), (Indices{-1, -1}));
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    RandomStream random(seed, RandomPurpose::test);
    std::vector<double> values(static_cast<std::size_t>(1 + random.below(20)));
    for (double& v : values) v = static_cast<double>(random.below(8));
    std::set<std::pair<double, std::int32_t>> falling;
    for (const double v : values) falling.emplace(-v, static_cast<std::int32_t>(falling.size()));
    Indices expected;
    for (const auto& [value, index] : falling) expected.push_back(index);
    expected.resize(5, -1);
    EXPECT_EQ(of(values, 5), expected) << "seed " << seed;
  }
}

}  // namespace
}  // namespace msd
