// SPDX-License-Identifier: MIT
#include "models/exits/thresholds_file.h"

#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "engine/files/file.h"
#include "kernels/error.h"
#include "models/network/cost.h"
#include "tests/support/errors.h"
#include "tests/support/temp_folder.h"

namespace msd::test {
namespace {

constexpr float kNobody = std::numeric_limits<float>::infinity();

BudgetPoint make_point(double p, double expected, Thresholds thresholds) {
  BudgetPoint point;
  point.p = p;
  point.thresholds = std::move(thresholds);
  point.expected_mul_adds = expected;
  point.holdout_accuracy = 0.25;
  point.holdout_shares = {0.5, 0.25, 0.25};
  point.accuracy = 1.0 / 3.0;
  point.mean_mul_adds = expected + 0.125;
  point.shares = {1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0};
  return point;
}

// Three points; the middle one expects most.
ThresholdsFile make_file() {
  ThresholdsFile file;
  file.model = "xxh3-128:0123456789abcdef";
  file.checkpoint = "runs/a/best.safetensors";
  file.config = preset("cifar10-tiny");
  file.fitted_on = {"synthetic", "holdout", 1000};
  file.fitted_fingerprint = "xxh3-128:00000000000000ff";
  file.fitted_choice = nlohmann::json{{"holdout", 1000}, {"holdout_mode", "random"}};
  file.evaluated_on = {"synthetic", "test", 2000};
  for (const ExitCost& cost : exit_costs(make_architecture(file.config))) {
    file.mul_adds_lazy.push_back(cost.mul_adds_lazy);
    file.ops.push_back(cost.ops);
  }
  const auto first = static_cast<double>(file.mul_adds_lazy[0]);
  file.points = {make_point(0.5, first + 1000, {0.9f, 0.1f, 0.0f}),
                 make_point(1.0, first + 3000, {kNobody, 0.7f, 0.0f}),
                 make_point(1.5, first + 2000, {0.3f, kNobody, 0.0f})};
  for (BudgetPoint& point : file.points) point.mean_ops = static_cast<double>(file.ops[1]);
  return file;
}

TEST(Thresholds, ComeBackAsWritten) {
  const TempFolder folder;
  const ThresholdsFile file = make_file();
  write_thresholds(folder / "thresholds.json", file);
  const ThresholdsFile read = read_thresholds(folder / "thresholds.json");
  EXPECT_EQ(read.model, file.model);
  EXPECT_EQ(read.checkpoint, file.checkpoint);
  EXPECT_EQ(read.config, file.config);
  EXPECT_EQ(read.fitted_on.samples, 1000);
  EXPECT_EQ(read.fitted_fingerprint, file.fitted_fingerprint);
  EXPECT_EQ(*read.fitted_choice, *file.fitted_choice);
  EXPECT_EQ(read.evaluated_on.part, "test");
  EXPECT_EQ(read.mul_adds_lazy, file.mul_adds_lazy);
  EXPECT_EQ(read.ops, file.ops);
  ASSERT_EQ(read.points.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    const BudgetPoint &a = read.points[i], &b = file.points[i];
    EXPECT_EQ(a.p, b.p);
    EXPECT_EQ(a.thresholds, b.thresholds);  // the same bits, infinity included
    EXPECT_EQ(a.expected_mul_adds, b.expected_mul_adds);
    EXPECT_EQ(a.holdout_accuracy, b.holdout_accuracy);
    EXPECT_EQ(a.holdout_shares, b.holdout_shares);
    EXPECT_EQ(a.accuracy, b.accuracy);
    EXPECT_EQ(a.mean_mul_adds, b.mean_mul_adds);
    EXPECT_EQ(a.mean_ops, b.mean_ops);
    EXPECT_EQ(a.shares, b.shares);
  }
}

TEST(Thresholds, BudgetTakesThePointThatSpendsMostOfIt) {
  const ThresholdsFile file = make_file();
  const auto first = static_cast<double>(file.mul_adds_lazy[0]);
  EXPECT_EQ(point_for_budget(file, first + 1000).p, 0.5);
  EXPECT_EQ(point_for_budget(file, first + 1999.5).p, 0.5);
  EXPECT_EQ(point_for_budget(file, first + 2000).p, 1.5);
  EXPECT_EQ(point_for_budget(file, first + 3000).p, 1.0);
  EXPECT_EQ(point_for_budget(file, 1e12).p, 1.0);
  EXPECT_TRUE(throws<ConfigError>(
      [&] { point_for_budget(file, first + 999); },
      {std::to_string(file.mul_adds_lazy[0] + 999), std::to_string(file.mul_adds_lazy[0] + 1000)}));
}

TEST(Thresholds, PointByItsP) {
  const ThresholdsFile file = make_file();
  EXPECT_EQ(&point_for_p(file, 1.5), &file.points[2]);
  EXPECT_TRUE(throws<ConfigError>([&] { point_for_p(file, 1.2); }, {"1.2", "0.5", "1.5"}));
}

TEST(Thresholds, OfOtherWeightsAreRefused) {
  const ThresholdsFile file = make_file();
  const auto check = [&](const std::string& fingerprint, const MsdnetConfig& config) {
    require_same_model(file, "t.json", fingerprint, config, "w.safetensors");
  };
  check(file.model, file.config);
  EXPECT_TRUE(throws<ConfigError>([&] { check("xxh3-128:1", file.config); },
                                  {"t.json", "w.safetensors", file.model, "xxh3-128:1"}));
  MsdnetConfig larger = file.config;
  larger.image_size = 64;
  EXPECT_TRUE(throws<ConfigError>([&] { check(file.model, larger); }, {"image_size", "64"}));
}

TEST(Thresholds, DamageIsNamed) {
  const TempFolder folder;
  const std::filesystem::path path = folder / "thresholds.json";
  using Damage = std::function<void(nlohmann::ordered_json&)>;
  const std::vector<std::pair<std::string, Damage>> damages = {
      {"format", [](auto& j) { j["format"] = "msd-thresholds-0"; }},
      {"format is missing", [](auto& j) { j.erase("format"); }},
      {"model", [](auto& j) { j.erase("model"); }},
      {"type", [](auto& j) { j["model"] = 3; }},
      {"unknown key", [](auto& j) { j["config"]["depth"] = 3; }},
      {"samples", [](auto& j) { j["fitted_on"]["samples"] = 0; }},
      {"choice", [](auto& j) { j["fitted_on"].erase("choice"); }},
      {"costs", [](auto& j) { j["costs"]["mul_adds_lazy"][1] = 5; }},
      {"costs", [](auto& j) { j["costs"]["ops"].erase(0); }},
      {"points", [](auto& j) { j["points"].clear(); }},
      {"point 2: p", [](auto& j) { j["points"][1]["p"] = 0; }},
      {"point 2: p does not rise", [](auto& j) { j["points"][1]["p"] = 0.5; }},
      {"2 values for 3 exits", [](auto& j) { j["points"][0]["thresholds"].erase(0); }},
      {"threshold", [](auto& j) { j["points"][0]["thresholds"][0] = -0.5; }},
      {"type", [](auto& j) { j["points"][0]["thresholds"][0] = "high"; }},
      {"last exit", [](auto& j) { j["points"][0]["thresholds"][2] = 0.5; }},
      {"last exit", [](auto& j) { j["points"][0]["thresholds"][2] = nullptr; }},
      {"expected_mul_adds", [](auto& j) { j["points"][2]["expected_mul_adds"] = 7; }},
      {"accuracy", [](auto& j) { j["points"][2]["accuracy"] = 1.5; }},
      {"no number", [](auto& j) { j["points"][2]["accuracy"] = "all"; }},
      {"mean_ops", [](auto& j) { j["points"][2]["mean_ops"] = 1e12; }},
      {"shares sum",
       [](auto& j) {
         j["points"][2]["shares"] = {0.5, 0.25, 0.0};
       }},
      {"shares holds",
       [](auto& j) {
         j["points"][2]["holdout_shares"] = {1.5, -0.5, 0.0};
       }},
  };
  for (const auto& [part, damage] : damages) {
    nlohmann::ordered_json json = thresholds_json(make_file());
    damage(json);
    write_file_atomically(path, json.dump());
    EXPECT_TRUE(throws<FormatError>([&] { read_thresholds(path); }, {path.string(), part}));
  }
  for (const std::string text : {"", "[]", "{", "3", "{\"format\": 1}"}) {
    write_file_atomically(path, text);
    EXPECT_TRUE(throws<FormatError>([&] { read_thresholds(path); }, {path.string()})) << text;
  }
  EXPECT_TRUE(throws<IoError>([&] { read_thresholds(folder / "none.json"); }, {"none.json"}));
}

}  // namespace
}  // namespace msd::test
