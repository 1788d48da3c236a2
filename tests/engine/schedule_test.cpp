// SPDX-License-Identifier: MIT
#include "engine/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <string>
#include <vector>

#include "tests/support/errors.h"

namespace msd {
namespace {

using test::throws;

// Rates are products of a few doubles: a rounding error or two, each 1e-16.
constexpr double kRounding = 1e-15;

std::vector<double> rates(const ScheduleOptions& options, std::int64_t epochs) {
  const Schedule schedule(options, epochs, 10);
  std::vector<double> out;
  for (std::int64_t epoch = 0; epoch < epochs; ++epoch) out.push_back(schedule.lr(epoch, 0));
  return out;
}

void expect_near(const std::vector<double>& actual, const std::vector<double>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(actual[i], expected[i], kRounding);
}

TEST(Multistep, DropsAtHalfAndThreeQuarters) {
  expect_near(rates({}, 8), {0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001});
}

TEST(Multistep, SixEpochs) {
  // 75 % of 6 is 4.5: epoch 4 (from 0) is not yet there, epoch 5 is.
  expect_near(rates({}, 6), {0.1, 0.1, 0.1, 0.01, 0.01, 0.001});
}

TEST(Multistep, TheRecipesOfThePaper) {
  const Schedule cifar({}, 300, 782);
  for (const auto& [epoch, lr] : std::vector<std::pair<std::int64_t, double>>{
           {0, 0.1}, {149, 0.1}, {150, 0.01}, {224, 0.01}, {225, 0.001}, {299, 0.001}}) {
    EXPECT_NEAR(cifar.lr(epoch, 0), lr, kRounding) << epoch;
    EXPECT_EQ(cifar.lr(epoch, 781), cifar.lr(epoch, 0)) << epoch;  // changes with the epoch only
  }
  ScheduleOptions options;
  options.milestones = parse_milestones("30,60", 90);
  const Schedule imagenet(options, 90, 5005);
  for (const auto& [epoch, lr] : std::vector<std::pair<std::int64_t, double>>{
           {0, 0.1}, {29, 0.1}, {30, 0.01}, {59, 0.01}, {60, 0.001}, {89, 0.001}}) {
    EXPECT_NEAR(imagenet.lr(epoch, 0), lr, kRounding) << epoch;
  }
}

TEST(Multistep, OwnMilestonesAndGamma) {
  ScheduleOptions options;
  options.lr = 2.0;
  options.gamma = 0.5;
  options.milestones = {0.0, 0.25, 0.25, 1.0};
  expect_near(rates(options, 4), {1.0, 0.25, 0.25, 0.25});
  options.milestones = {};
  expect_near(rates(options, 3), {2.0, 2.0, 2.0});
}

// First epoch whose rate is below the initial one, or epochs.
std::int64_t first_drop(const std::vector<double>& milestones, std::int64_t epochs) {
  ScheduleOptions options;
  options.milestones = milestones;
  const Schedule schedule(options, epochs, 1);
  std::int64_t epoch = 0;
  while (epoch < epochs && schedule.lr(epoch, 0) > 0.05) ++epoch;
  return epoch;
}

TEST(Multistep, DropsExactlyAtAMilestoneGivenAsAnEpoch) {
  for (std::int64_t epochs = 1; epochs <= 300; ++epochs) {
    for (std::int64_t at = 0; at < epochs; ++at) {
      ASSERT_EQ(first_drop(parse_milestones(std::to_string(at), epochs), epochs), at)
          << "of " << epochs;
    }
  }
}

TEST(Multistep, DropsExactlyAtAMilestoneGivenAsAPercentage) {
  for (std::int64_t epochs = 1; epochs <= 300; ++epochs) {
    for (std::int64_t percent = 0; percent < 100; ++percent) {
      // The first epoch with epoch/epochs >= percent/100, in integers.
      const std::int64_t expected = (percent * epochs + 99) / 100;
      ASSERT_EQ(first_drop(parse_milestones(std::to_string(percent) + "%", epochs), epochs),
                expected)
          << percent << "% of " << epochs;
    }
  }
}

TEST(Cosine, FollowsTheCosineStepByStep) {
  ScheduleOptions options;
  options.kind = ScheduleKind::cosine;
  options.lr = 0.4;
  const Schedule schedule(options, 5, 8);
  EXPECT_NEAR(schedule.lr(0, 0), 0.4, kRounding);
  EXPECT_NEAR(schedule.lr(2, 4), 0.2, kRounding);  // half of 5 epochs
  double before = 1.0;
  for (std::int64_t i = 0; i < 40; ++i) {
    const double lr = schedule.lr(i / 8, i % 8);
    const double progress = static_cast<double>(i) / 40.0;
    EXPECT_NEAR(lr, 0.4 / 2 * (1 + std::cos(std::numbers::pi * progress)), kRounding) << i;
    EXPECT_LT(lr, before);
    EXPECT_GT(lr, 0.0);
    before = lr;
  }
}

TEST(WarmUp, IsLinearStepByStep) {
  ScheduleOptions options;
  options.warmup_epochs = 2.0;
  const Schedule schedule(options, 10, 5);
  for (std::int64_t i = 0; i + 1 < 10; ++i) {
    const double rise = schedule.lr((i + 1) / 5, (i + 1) % 5) - schedule.lr(i / 5, i % 5);
    EXPECT_NEAR(rise, 0.1 / 10, kRounding) << i;
  }
  EXPECT_GT(schedule.lr(0, 0), 0.0);
  EXPECT_LE(schedule.lr(0, 0), 0.1 / 10 + kRounding);
  for (std::int64_t epoch = 2; epoch < 5; ++epoch) EXPECT_EQ(schedule.lr(epoch, 0), 0.1);
}

TEST(WarmUp, NeverExceedsTheScheduleAndNeverFalls) {
  // Also where the warm-up ends between two steps.
  for (const double warmup : {0.1, 0.25, 0.5, 0.9, 1.0, 1.3, 2.0, 2.75}) {
    for (const std::int64_t steps : {1, 2, 3, 7}) {
      ScheduleOptions options;
      options.warmup_epochs = warmup;
      const Schedule schedule(options, 8, steps);
      double before = 0.0;
      for (std::int64_t i = 0; i < 4 * steps; ++i) {
        const double lr = schedule.lr(i / steps, i % steps);
        EXPECT_LE(lr, 0.1) << warmup << " epochs of " << steps << " steps, step " << i;
        EXPECT_GE(lr, before) << warmup << " epochs of " << steps << " steps, step " << i;
        before = lr;
      }
      EXPECT_EQ(before, 0.1);
    }
  }
}

TEST(WarmUp, MultipliesWhatTheScheduleSays) {
  ScheduleOptions options;
  options.kind = ScheduleKind::cosine;
  options.warmup_epochs = 4.0;
  ScheduleOptions plain = options;
  plain.warmup_epochs = 0.0;
  const Schedule warm(options, 8, 4), cold(plain, 8, 4);
  double before = 0.0;
  for (std::int64_t i = 0; i < 16; ++i) {
    const double share = warm.lr(i / 4, i % 4) / cold.lr(i / 4, i % 4);
    EXPECT_NEAR(share - before, 1.0 / 16, 1e-12) << i;  // quotients of quotients: a few 1e-16
    before = share;
  }
  EXPECT_EQ(warm.lr(5, 1), cold.lr(5, 1));
}

TEST(Schedule, RefusesWhatCannotWork) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  const auto make = [](const ScheduleOptions& options, std::int64_t epochs = 10,
                       std::int64_t steps = 10) {
    return [=] { Schedule(options, epochs, steps); };
  };
  for (const double bad : {0.0, -0.1, nan, inf}) {
    ScheduleOptions lr, gamma;
    lr.lr = bad;
    gamma.gamma = bad;
    EXPECT_TRUE(throws<ConfigError>(make(lr), {"lr"})) << bad;
    EXPECT_TRUE(throws<ConfigError>(make(gamma), {"gamma"})) << bad;
  }
  for (const double bad : {-0.1, 10.5, nan, inf}) {
    ScheduleOptions warmup;
    warmup.warmup_epochs = bad;
    EXPECT_TRUE(throws<ConfigError>(make(warmup), {"warmup"})) << bad;
  }
  EXPECT_TRUE(throws<ConfigError>(make({}, 0), {"epochs"}));
  EXPECT_TRUE(throws<ConfigError>(make({}, -1), {"epochs"}));
  EXPECT_TRUE(throws<ConfigError>(make({}, 10, 0)));
  ScheduleOptions milestone;
  milestone.milestones = {nan};
  EXPECT_TRUE(throws<ConfigError>(make(milestone)));
}

TEST(ParseMilestones, PercentagesAndEpochs) {
  expect_near(parse_milestones("50%,75%", 300), {0.5, 0.75});
  expect_near(parse_milestones("150,225", 300), {0.5, 0.75});
  expect_near(parse_milestones("12.5%,30", 60), {0.125, 0.5});
  EXPECT_TRUE(parse_milestones("", 300).empty());
}

TEST(ParseMilestones, AnythingElseIsAConfigError) {
  for (const char* text : {"x", "50%x", "50%,,75%", "-1", "-5%", "%", "nan", "50 %", "0x10", "inf",
                           "inf%", "50%,", "101%", "150,225,", ",50%", "1e999", "+50%"}) {
    EXPECT_TRUE(throws<ConfigError>([&] { parse_milestones(text, 300); }, {"milestones"})) << text;
  }
}

}  // namespace
}  // namespace msd
