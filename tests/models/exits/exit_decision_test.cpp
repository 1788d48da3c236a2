// SPDX-License-Identifier: MIT
#include "models/exits/exit_decision.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/support/errors.h"

namespace msd::test {
namespace {

constexpr float kNobody = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

TEST(ExitRule, SaysWhichExitsRun) {
  const std::vector<std::int64_t> all = {0, 1, 2};
  const Thresholds thresholds = {0.5f, kNobody, 0.0f};
  for (const ExitRule& rule : std::vector<ExitRule>{LastExit{}, EveryExit{}, Threshold{0.0f},
                                                    Threshold{1.0f}, thresholds, Deadline{0.5}}) {
    EXPECT_EQ(exits_that_run(rule, 3), all) << rule.index();
  }
  EXPECT_EQ(exits_that_run(FixedExit{1}, 3), std::vector<std::int64_t>{0});
  EXPECT_EQ(exits_that_run(FixedExit{3}, 3), std::vector<std::int64_t>{2});
}

TEST(ExitRule, RefusesWhatMakesNoSense) {
  const auto refused = [](const ExitRule& rule, std::initializer_list<std::string_view> parts) {
    return throws<ConfigError>([&] { exits_that_run(rule, 3); }, parts);
  };
  EXPECT_TRUE(refused(FixedExit{0}, {"exit 0", "1 to 3"}));
  EXPECT_TRUE(refused(FixedExit{4}, {"exit 4", "1 to 3"}));
  EXPECT_TRUE(refused(Threshold{1.5f}, {"1.5", "0 to 1"}));
  EXPECT_TRUE(refused(Threshold{-0.5f}, {"-0.5"}));
  EXPECT_TRUE(refused(Threshold{kNaN}, {"nan"}));
  EXPECT_TRUE(refused(Thresholds{0.5f, 0.0f}, {"2 thresholds", "3 exits"}));
  EXPECT_TRUE(refused(Thresholds{0.5f, kNaN, 0.0f}, {"nan"}));
  EXPECT_TRUE(refused(Thresholds{0.5f, -1.0f, 0.0f}, {"-1"}));
  EXPECT_TRUE(refused(Deadline{0.0}, {"deadline"}));
  EXPECT_TRUE(refused(Deadline{std::numeric_limits<double>::quiet_NaN()}, {"deadline"}));
}

TEST(ExitRule, ThresholdsAreReachedFromTheirValueOn) {
  const Thresholds thresholds = {0.5f, kNobody, 0.25f};
  EXPECT_FALSE(leaves(thresholds, 0, 0.49f));
  EXPECT_TRUE(leaves(thresholds, 0, 0.5f));
  EXPECT_FALSE(leaves(thresholds, 1, 1.0f));
  // The last exit takes all, whatever its threshold, and a network that diverged.
  EXPECT_TRUE(leaves(thresholds, 2, 0.0f));
  EXPECT_TRUE(leaves(thresholds, 2, kNaN));
  EXPECT_FALSE(leaves(thresholds, 0, kNaN));
  EXPECT_THROW(reaches(thresholds, 3, 0.5f), ShapeError);
  EXPECT_FALSE(leaves(Threshold{0.5f}, 0, 0.49f));
  EXPECT_TRUE(leaves(Threshold{0.5f}, 1, 0.5f));
}

TEST(ExitRule, OthersLookAtNoConfidence) {
  for (const float confidence : {0.0f, 1.0f}) {
    for (std::int64_t exit = 0; exit < 3; ++exit) {
      EXPECT_FALSE(leaves(LastExit{}, exit, confidence));
      EXPECT_FALSE(leaves(EveryExit{}, exit, confidence));
      EXPECT_FALSE(leaves(Deadline{1.0}, exit, confidence));
      EXPECT_EQ(leaves(FixedExit{2}, exit, confidence), exit >= 1);
    }
  }
}

}  // namespace
}  // namespace msd::test
