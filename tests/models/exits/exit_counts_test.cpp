// SPDX-License-Identifier: MIT
#include "models/exits/exit_counts.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace msd {
namespace {

TEST(ExitCounts, AverageAndAccuracy) {
  ExitCounts counts(2);
  counts.samples = 8;
  counts.loss_sum = {4.0, 2.0};
  counts.top1 = {2, 4};
  counts.top5 = {6, 8};
  counts.ensemble_top1 = {2, 5};
  counts.ensemble_top5 = {6, 7};
  EXPECT_EQ(counts.mean_losses(), (std::vector<double>{0.5, 0.25}));
  const AnytimeAccuracy a = counts.accuracy();
  EXPECT_EQ(a.top1, (std::vector<double>{0.25, 0.5}));
  EXPECT_EQ(a.top5, (std::vector<double>{0.75, 1.0}));
  EXPECT_EQ(a.ensemble_top1, (std::vector<double>{0.25, 0.625}));
  EXPECT_EQ(a.ensemble_top5, (std::vector<double>{0.75, 0.875}));
  const ExitCounts none(2);
  EXPECT_EQ(none.mean_losses(), (std::vector<double>{0.0, 0.0}));
  EXPECT_EQ(none.accuracy().top1, (std::vector<double>{0.0, 0.0}));
}

TEST(ExitCounts, RoundTripThroughJson) {
  ExitCounts counts(2);
  counts.samples = 1234567890123;
  counts.loss_sum = {0.1 + 0.2, 1e-300};
  counts.top1 = {1, 2};
  counts.top5 = {3, 4};
  counts.ensemble_top1 = {5, 6};
  counts.ensemble_top5 = {7, 8};
  const std::string text = nlohmann::json(counts).dump();
  const auto back = nlohmann::json::parse(text).get<ExitCounts>();
  EXPECT_EQ(back.samples, counts.samples);
  EXPECT_EQ(back.loss_sum, counts.loss_sum);
  EXPECT_EQ(back.top1, counts.top1);
  EXPECT_EQ(back.top5, counts.top5);
  EXPECT_EQ(back.ensemble_top1, counts.ensemble_top1);
  EXPECT_EQ(back.ensemble_top5, counts.ensemble_top5);
}

}  // namespace
}  // namespace msd
