// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "apps/common/table.h"
#include "models/inference/early_exit.h"

namespace msd {

/// What a sample is called, for people.
std::string text_of_input(const nlohmann::ordered_json& name);

/// Sums over the samples of a run.
class Summary {
 public:
  /// deadline_us: 0 where there is none.
  Summary(std::int64_t exits, double deadline_us);
  void add(const Classification& result, std::optional<std::int32_t> label);
  /// A sample without an answer, of which only the count is told.
  void add_failed() { ++failed_; }
  std::int64_t failed() const { return failed_; }

  /// seconds: of the whole run. full_mul_adds: of the last exit, all exits run.
  nlohmann::ordered_json json(double seconds, std::int64_t full_mul_adds) const;
  /// For people, in lines.
  std::string text(double seconds, std::int64_t full_mul_adds) const;

 private:
  struct Figures {
    double mean_mul_adds, images_per_second, median_us, p95_us;
    std::vector<double> shares;
    std::optional<double> accuracy, late_share;
    std::vector<double> exit_accuracy;  // of every exit, where all answered
  };
  Figures figures(double seconds) const;

  std::int64_t samples_ = 0, failed_ = 0, labelled_ = 0, correct_ = 0, mul_adds_ = 0;
  std::vector<std::int64_t> left_at_, correct_at_;
  bool all_exits_ = false;
  double deadline_us_;
  std::int64_t late_ = 0;  // answers after the deadline
  std::vector<double> microseconds_;
};

/// Prints samples as they come: JSON lines at once, a table at the end. Without a table the failed
/// ones are told all the same, the first kMostFailures of them.
class SamplePrinter {
 public:
  enum class Style : std::uint8_t { none, table, json };
  SamplePrinter(Style style, std::vector<std::string> class_names)
      : style_(style), class_names_(std::move(class_names)) {}

  void print(const nlohmann::ordered_json& name, const Classification& result,
             std::optional<std::int32_t> label);
  void print_failed(const nlohmann::ordered_json& name, const std::string& error);
  void finish() const;

 private:
  std::string class_name(std::int32_t index) const;
  nlohmann::ordered_json json(const Outcome& outcome, std::optional<std::int32_t> label) const;
  void add_row(const std::string& name, const Outcome& outcome, std::optional<std::int32_t> label);

  static constexpr std::int64_t kMostFailures = 20;

  Style style_;
  std::int64_t failed_ = 0;
  std::vector<std::string> class_names_;
  Table table_{{"input", "exit", "class", "confidence", "next", "mul-adds", "ms", "label"}};
};

}  // namespace msd
