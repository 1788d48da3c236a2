// SPDX-License-Identifier: MIT
#include "engine/memory_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/random.h"

namespace msd {
namespace {

std::int64_t rounded(std::int64_t bytes) { return (bytes + 63) / 64 * 64; }

/// Largest sum of rounded requests alive at one step: no plan can be smaller.
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

void expect_sound(const std::vector<MemoryRequest>& requests, const MemoryPlan& plan) {
  ASSERT_EQ(plan.offsets.size(), requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    EXPECT_GE(plan.offsets[i], 0);
    EXPECT_EQ(plan.offsets[i] % 64, 0);
    EXPECT_LE(plan.offsets[i] + requests[i].bytes, plan.total_bytes);
    for (std::size_t j = 0; j < i; ++j) {
      const bool together =
          requests[i].first <= requests[j].last && requests[j].first <= requests[i].last;
      const bool apart = plan.offsets[i] + requests[i].bytes <= plan.offsets[j] ||
                         plan.offsets[j] + requests[j].bytes <= plan.offsets[i];
      EXPECT_TRUE(!together || apart) << "requests " << i << " and " << j << " overlap";
    }
  }
  EXPECT_LE(plan.total_bytes, sum(requests));
  EXPECT_GE(plan.total_bytes, peak(requests));
}

TEST(MemoryPlan, NothingNeedsNothing) {
  const MemoryPlan plan = plan_memory({});
  EXPECT_TRUE(plan.offsets.empty());
  EXPECT_EQ(plan.total_bytes, 0);
}

TEST(MemoryPlan, ReusesWhatIsNotAliveAtTheSameTime) {
  const std::vector<MemoryRequest> requests = {{1000, 0, 1}, {1000, 2, 3}, {1000, 4, 4}};
  const MemoryPlan plan = plan_memory(requests);
  EXPECT_EQ(plan.offsets, (std::vector<std::int64_t>{0, 0, 0}));
  EXPECT_EQ(plan.total_bytes, 1024);
}

TEST(MemoryPlan, BothEndsOfALifeCount) {
  const std::vector<MemoryRequest> requests = {{64, 0, 2}, {64, 2, 4}};
  const MemoryPlan plan = plan_memory(requests);
  expect_sound(requests, plan);
  EXPECT_EQ(plan.total_bytes, 128);
}

TEST(MemoryPlan, FillsGapsBetweenLargerBlocks) {
  // The 640 bytes free below the second block in steps 2..3 take the small ones.
  const std::vector<MemoryRequest> requests = {{640, 0, 1}, {1280, 0, 3}, {320, 2, 3}, {320, 2, 3}};
  const MemoryPlan plan = plan_memory(requests);
  expect_sound(requests, plan);
  EXPECT_EQ(plan.total_bytes, 1920);
}

TEST(MemoryPlan, RandomSetsNeverOverlap) {
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
    expect_sound(requests, plan_memory(requests));
    EXPECT_EQ(plan_memory(requests).offsets, plan_memory(requests).offsets);
  }
}

}  // namespace
}  // namespace msd
