// SPDX-License-Identifier: MIT
#include "models/inference/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "tests/models/inference/plan_fixture.h"
#include "tests/support/allocations.h"
#include "tests/support/allocators.h"

namespace msd {
namespace {

using test::Bytes;
using test::run;

using PlanTest = test::PlanFixture;
INSTANTIATE_TEST_SUITE_P(Networks, PlanTest, test::plan_networks(), test::plan_case_name);

TEST_P(PlanTest, AnImagesBitsDoNotDependOnItsBatch) {
  const Plan plan(runtime_, network_);
  const std::vector<double> five = test::random_images(5, config_.image_size, 9);
  const std::vector<Bytes> together = run(runtime_, plan, five);
  const auto image = static_cast<std::ptrdiff_t>(five.size() / 5);
  for (std::ptrdiff_t i = 0; i < 5; ++i) {
    const std::vector<double> one(five.begin() + i * image, five.begin() + (i + 1) * image);
    const std::vector<Bytes> alone = run(runtime_, plan, one);
    for (std::size_t k = 0; k < alone.size(); ++k) {
      const auto row = static_cast<std::ptrdiff_t>(alone[k].size());
      EXPECT_TRUE(std::equal(alone[k].begin(), alone[k].end(), together[k].begin() + i * row))
          << "image " << i << " exit " << k;
    }
  }
}

TEST_P(PlanTest, ThreadsDoNotChangeTheBits) {
  const std::vector<Bytes> one = run(runtime_, Plan(runtime_, network_), images_);
  Runtime three(3);
  EXPECT_TRUE(run(three, Plan(three, network_), images_) == one);
}

TEST_P(PlanTest, ReadsNoMemoryNobodyWrote) {
  const std::vector<Bytes> expected = run(runtime_, Plan(runtime_, network_), images_);
  SystemAllocator system;
  test::PoisonAllocator poison(system);
  Runtime poisoned;
  poisoned.set_allocator(poison);
  EXPECT_TRUE(run(poisoned, Plan(poisoned, network_), images_) == expected);
  for (const Bytes& logits : expected) EXPECT_TRUE(test::all_finite(logits));
}

TEST_P(PlanTest, RunningAStageAllocatesNothing) {
  SystemAllocator system;
  test::StatisticsAllocator statistics(system);
  Runtime runtime(2);
  runtime.set_allocator(statistics);
  const Plan plan(runtime, network_);
  PlanSession session(runtime, plan, 2);
  test::put_images(session.input(), images_);
  const std::int64_t before = statistics.allocations();
  const long heap = test::heap_allocations();
  for (std::int64_t stage = 0; stage < plan.stages(); ++stage) session.run_stage(stage);
  EXPECT_EQ(test::heap_allocations(), heap);
  EXPECT_EQ(statistics.allocations(), before);
}

TEST_P(PlanTest, LogitsStayUntilStageZeroRunsAgain) {
  const Plan plan(runtime_, network_);
  PlanSession session(runtime_, plan, 2);
  test::put_images(session.input(), images_);
  std::vector<View> views;
  std::vector<Bytes> said;
  for (std::int64_t stage = 0; stage < plan.stages(); ++stage) {
    views.push_back(session.run_stage(stage));
    said.push_back(test::bytes(views.back()));
  }
  // The next images may be put in place before the last results are read.
  test::put_images(session.input(), test::random_images(2, config_.image_size, 77));
  for (std::size_t k = 0; k < views.size(); ++k) {
    EXPECT_TRUE(test::bytes(views[k]) == said[k]) << "exit " << k;
  }
}

TEST_P(PlanTest, ASessionMayStopEarlyAndStartAgain) {
  const Plan plan(runtime_, network_);
  const std::vector<Bytes> expected = run(runtime_, plan, images_);
  PlanSession session(runtime_, plan, 2);
  for (std::int64_t stop = 0; stop < plan.stages(); ++stop) {
    test::put_images(session.input(), images_);
    for (std::int64_t stage = 0; stage <= stop; ++stage) {
      EXPECT_TRUE(test::bytes(session.run_stage(stage)) ==
                  expected[static_cast<std::size_t>(stage)]);
    }
  }
}

TEST_P(PlanTest, KeepsTheWeightsItWasMadeFrom) {
  const Plan plan(runtime_, network_);
  const std::vector<Bytes> expected = run(runtime_, plan, images_);
  test::randomize(network_, 99);
  EXPECT_TRUE(run(runtime_, plan, images_) == expected);
  EXPECT_FALSE(run(runtime_, Plan(runtime_, network_), images_) == expected);
}

TEST_P(PlanTest, SessionsOfSeveralThreadsShareAPlan) {
  const Plan plan(runtime_, network_);
  const std::vector<Bytes> expected = run(runtime_, plan, images_);
  std::vector<std::vector<Bytes>> results(2);
  std::vector<std::thread> threads;
  for (std::vector<Bytes>& result : results) {
    threads.emplace_back([&plan, &result, this] {
      Runtime own;
      result = run(own, plan, images_);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& result : results) EXPECT_TRUE(result == expected);
}

TEST(Plan, StagesRunInOrder) {
  Runtime runtime;
  const Network network(preset("cifar10-tiny"), runtime.allocator());
  const Plan plan(runtime, network);
  PlanSession session(runtime, plan, 1);
  test::put_images(session.input(), test::random_images(1, 32, 1));
  EXPECT_THROW(session.run_stage(1), ShapeError);
  EXPECT_THROW(session.run_stage(-1), ShapeError);
  session.run_stage(0);
  EXPECT_THROW(session.run_stage(2), ShapeError);
  session.run_stage(1);
  EXPECT_THROW(session.run_stage(1), ShapeError);
  session.run_stage(2);
  EXPECT_THROW(session.run_stage(3), ShapeError);
  session.run_stage(0);
}

TEST(Plan, RefusesExitsThatAreNotThereOrNotRising) {
  Runtime runtime;
  const Network network(preset("cifar10-tiny"), runtime.allocator());
  using Exits = std::vector<std::int64_t>;
  for (const Exits& exits : {Exits{}, Exits{-1}, Exits{3}, Exits{1, 0}, Exits{1, 1}, Exits{0, 3}}) {
    EXPECT_THROW(Plan(runtime, network, exits), ShapeError) << testing::PrintToString(exits);
  }
  const Plan plan(runtime, network);
  EXPECT_THROW(PlanSession(runtime, plan, 0), ShapeError);
}

TEST(Plan, SharesMemoryBetweenBuffers) {
  Runtime runtime;
  const Network network(preset("cifar10-anytime10"), runtime.allocator());
  const Plan plan(runtime, network);
  const PlanSession session(runtime, plan, 1);
  std::int64_t apart = 0;
  for (const FeatureBuffer& buffer : network.architecture().buffers) {
    apart += buffer.size * buffer.size * row_pitch(buffer.channels, DType::f32) * 4;
  }
  EXPECT_LT(session.arena_bytes(), apart);
  EXPECT_EQ(session.batch(), 1);
}

}  // namespace
}  // namespace msd
