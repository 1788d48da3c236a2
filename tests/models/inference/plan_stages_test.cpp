// SPDX-License-Identifier: MIT
// Stages hold exactly what their exit adds: counted, and seen from what they read.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "models/network/cost.h"
#include "models/network/stages.h"
#include "tests/models/inference/plan_fixture.h"

namespace msd {
namespace {

using test::Bytes;
using test::run;

// What runs is counted from the operands; what should run, from the dependencies.
void expect_lazy_costs(const MsdnetConfig& config) {
  Runtime runtime;
  const Network network(config, runtime.allocator());
  const std::vector<ExitCost> costs = exit_costs(network.architecture());
  const Plan all(runtime, network);
  ASSERT_EQ(all.stages(), config.blocks);
  PlanSession session(runtime, all, 1);
  test::put_images(session.input(), test::random_images(1, config.image_size, 1));
  for (int round = 0; round < 2; ++round) {  // stage 0 starts the count again
    for (std::int64_t exit = 0; exit < all.stages(); ++exit) {
      session.run_stage(exit);
      EXPECT_EQ(session.executed_mul_adds(), costs[static_cast<std::size_t>(exit)].mul_adds_lazy);
      EXPECT_EQ(all.mul_adds(exit), costs[static_cast<std::size_t>(exit)].mul_adds_lazy);
    }
  }
  for (std::int64_t exit = 0; exit < all.stages(); ++exit) {
    const Plan direct(runtime, network, {exit});
    PlanSession alone(runtime, direct, 1);
    test::put_images(alone.input(), test::random_images(1, config.image_size, 1));
    alone.run_stage(0);
    EXPECT_EQ(alone.executed_mul_adds(), costs[static_cast<std::size_t>(exit)].mul_adds_direct);
    EXPECT_EQ(direct.mul_adds(0), costs[static_cast<std::size_t>(exit)].mul_adds_direct);
  }
}

TEST(PlanCosts, Presets) {
  for (const char* name : {"cifar10-tiny", "cifar100-batch5", "cifar10-anytime10"}) {
    SCOPED_TRACE(name);
    expect_lazy_costs(preset(name));
  }
}

TEST(PlanCosts, Fixtures) {
  for (const std::string& name : test::fixture_names()) {
    SCOPED_TRACE(name);
    expect_lazy_costs(test::Fixture(name).config());
  }
}

// Mul-adds do not depend on the batch: they are one image's.
TEST(PlanCosts, AreOfOneImage) {
  Runtime runtime;
  const Network network(preset("cifar10-tiny"), runtime.allocator());
  const Plan plan(runtime, network);
  PlanSession session(runtime, plan, 3);
  test::put_images(session.input(), test::random_images(3, 32, 1));
  session.run_stage(0);
  EXPECT_EQ(session.executed_mul_adds(), plan.mul_adds(0));
}

using PlanStages = test::PlanFixture;
INSTANTIATE_TEST_SUITE_P(Networks, PlanStages, test::plan_networks(), test::plan_case_name);

// Weights of operations that exit k does not depend on are NaN: nothing of them may show, not even
// multiplied by zero.
TEST_P(PlanStages, StagesReadNothingThatLaterExitsAloneNeed) {
  const std::vector<Bytes> expected = run(runtime_, Plan(runtime_, network_), images_);
  std::vector<std::int64_t> exits;
  for (std::int64_t exit = 0; exit < config_.blocks; ++exit) {
    exits.push_back(exit);
    const std::vector<bool> required = required_operations(network_.architecture(), exits);
    Network poisoned = test::random_network(config_, runtime_.allocator());
    for (std::size_t i = 0; i < required.size(); ++i) {
      const ParameterSet::Id weight = poisoned.of(i).weight;
      if (required[i] || weight < 0) continue;
      std::int64_t elems = 1;
      for (const std::int64_t d : poisoned.parameters().parameter_shape(weight)) elems *= d;
      poisoned.parameters().set_parameter(
          weight, std::vector<double>(static_cast<std::size_t>(elems), std::nan("")));
    }
    const std::vector<Bytes> logits = run(runtime_, Plan(runtime_, poisoned), images_);
    for (std::size_t k = 0; k < logits.size(); ++k) {
      if (static_cast<std::int64_t>(k) <= exit) {
        EXPECT_TRUE(logits[k] == expected[k]) << "exit " << k << " of " << exit;
      } else {
        EXPECT_FALSE(test::all_finite(logits[k])) << "exit " << k << " of " << exit;
      }
    }
  }
}

TEST_P(PlanStages, AFixedExitAloneSaysTheSame) {
  const std::vector<Bytes> expected = run(runtime_, Plan(runtime_, network_), images_);
  for (std::int64_t exit = 0; exit < config_.blocks; ++exit) {
    const Plan plan(runtime_, network_, {exit});
    EXPECT_EQ(plan.stages(), 1);
    EXPECT_EQ(plan.exits(), std::vector<std::int64_t>{exit});
    EXPECT_TRUE(run(runtime_, plan, images_)[0] == expected[static_cast<std::size_t>(exit)])
        << exit;
  }
  if (config_.blocks < 3) return;
  const Plan some(runtime_, network_, {0, 2});
  const std::vector<Bytes> logits = run(runtime_, some, images_);
  ASSERT_EQ(logits.size(), 2u);
  EXPECT_TRUE(logits[0] == expected[0] && logits[1] == expected[2]);
  EXPECT_LT(some.mul_adds(1), Plan(runtime_, network_).mul_adds(2));  // no second classifier
}

}  // namespace
}  // namespace msd
