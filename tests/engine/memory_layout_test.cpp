// SPDX-License-Identifier: MIT
#include "engine/memory_layout.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/random.h"

namespace msd {
namespace {

std::int64_t rounded(std::int64_t bytes) { return (bytes + 63) / 64 * 64; }

/// Largest sum of rounded requests alive at one step: no layout can be smaller.
std::int64_t peak(const std::vector<MemoryRequest>& requests) {
  std::int64_t most = 0;
  for (const MemoryRequest& at : requests) {
    std::int64_t sum = 0;
    for (const MemoryRequest& r : requests) {
      if (r.first <= at.first && at.first <= r.last) sum += rounded(r.bytes);
    }
    most = std::max(most, sum);
  }
  return most;
}

std::int64_t sum(const std::vector<MemoryRequest>& requests) {
  std::int64_t total = 0;
  for (const MemoryRequest& r : requests) total += rounded(r.bytes);
  return total;
}

void expect_sound(const std::vector<MemoryRequest>& requests, const MemoryLayout& layout) {
  ASSERT_EQ(layout.offsets.size(), requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    EXPECT_GE(layout.offsets[i], 0);
    EXPECT_EQ(layout.offsets[i] % 64, 0);
    EXPECT_LE(layout.offsets[i] + requests[i].bytes, layout.total_bytes);
    for (std::size_t j = 0; j < i; ++j) {
      const bool together =
          requests[i].first <= requests[j].last && requests[j].first <= requests[i].last;
      const bool apart = layout.offsets[i] + requests[i].bytes <= layout.offsets[j] ||
                         layout.offsets[j] + requests[j].bytes <= layout.offsets[i];
      EXPECT_TRUE(!together || apart) << "requests " << i << " and " << j << " overlap";
    }
  }
  EXPECT_LE(layout.total_bytes, sum(requests));
  EXPECT_GE(layout.total_bytes, peak(requests));
}

TEST(MemoryLayout, NothingNeedsNothing) {
  const MemoryLayout layout = lay_out_memory({});
  EXPECT_TRUE(layout.offsets.empty());
  EXPECT_EQ(layout.total_bytes, 0);
}

TEST(MemoryLayout, ReusesWhatIsNotAliveAtTheSameTime) {
  const std::vector<MemoryRequest> requests = {{1000, 0, 1}, {1000, 2, 3}, {1000, 4, 4}};
  const MemoryLayout layout = lay_out_memory(requests);
  EXPECT_EQ(layout.offsets, (std::vector<std::int64_t>{0, 0, 0}));
  EXPECT_EQ(layout.total_bytes, 1024);
}

TEST(MemoryLayout, BothEndsOfALifeCount) {
  const std::vector<MemoryRequest> requests = {{64, 0, 2}, {64, 2, 4}};
  const MemoryLayout layout = lay_out_memory(requests);
  expect_sound(requests, layout);
  EXPECT_EQ(layout.total_bytes, 128);
}

TEST(MemoryLayout, ALifeHoldsEveryStepTouched) {
  MemoryRequest request = {64};
  EXPECT_FALSE(request.used());
  for (const std::int64_t step : {3, 5, 0, 4}) request.touch(step);
  EXPECT_TRUE(request.used());
  EXPECT_EQ(request.first, 0);
  EXPECT_EQ(request.last, 5);
}

TEST(MemoryLayout, WhatIsNeverUsedTakesNothing) {
  const MemoryLayout layout = lay_out_memory({{64, 0, 2}, {4096}, {64, 1, 1}});
  EXPECT_EQ(layout.offsets, (std::vector<std::int64_t>{0, 0, 64}));
  EXPECT_EQ(layout.total_bytes, 128);
}

TEST(MemoryLayout, FillsGapsBetweenLargerBlocks) {
  // The 640 bytes free below the second block in steps 2..3 take the small ones.
  const std::vector<MemoryRequest> requests = {{640, 0, 1}, {1280, 0, 3}, {320, 2, 3}, {320, 2, 3}};
  const MemoryLayout layout = lay_out_memory(requests);
  expect_sound(requests, layout);
  EXPECT_EQ(layout.total_bytes, 1920);
}

TEST(MemoryLayout, RandomSetsNeverOverlap) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomStream random(seed, RandomPurpose::test);
    std::vector<MemoryRequest> requests(static_cast<std::size_t>(random.below(60)));
    const std::int64_t steps = 1 + random.below(40);
    for (MemoryRequest& r : requests) {
      // Zero bytes, odd sizes, equal sizes and very different ones.
      const std::int64_t kind = random.below(4);
      r.bytes = kind == 0 ? 0 : kind == 1 ? 4096 : 1 + random.below(kind == 2 ? 100 : 100000);
      r.first = random.below(steps);
      r.last = r.first + random.below(steps - r.first);
    }
    expect_sound(requests, lay_out_memory(requests));
    EXPECT_EQ(lay_out_memory(requests).offsets, lay_out_memory(requests).offsets);
  }
}

}  // namespace
}  // namespace msd
