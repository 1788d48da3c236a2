// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "engine/files/json_value.h"
#include "models/exits/threshold_fitting.h"
#include "models/network/config.h"

namespace msd {

/// Thresholds for one p, and what they gave.
struct BudgetPoint {
  double p = 1.0;
  Thresholds thresholds;           // one an exit; +infinity: nobody leaves; the last is 0
  double expected_mul_adds = 0.0;  // executed, a sample, mean over the images fitted on
  double holdout_accuracy = 0.0;   // of the images fitted on
  std::vector<double> holdout_shares;
  double accuracy = 0.0;  // of the images evaluated on
  double mean_mul_adds = 0.0, mean_ops = 0.0;
  std::vector<double> shares;
};

/// Images that thresholds were fitted or evaluated on.
struct ImagesUsed {
  std::string dataset, part;  // "cifar10", "holdout"
  std::int64_t samples = 0;
};

/// What a thresholds file holds: budgeted-batch settings of one network's weights.
struct ThresholdsFile {
  std::string model;       // Checkpoint::fingerprint of the weights
  std::string checkpoint;  // their path as it was given, for people
  MsdnetConfig config;
  ImagesUsed fitted_on;
  std::string fitted_fingerprint;  // of the data set fitted on
  JsonValue fitted_choice;         // how its images were chosen
  ImagesUsed evaluated_on;
  // Of leaving at each exit, one image: executed mul-adds, and ops in the plain convention.
  std::vector<std::int64_t> mul_adds_lazy, ops;
  std::vector<BudgetPoint> points;  // p rises
};

/// Writes atomically, as JSON. Throws IoError.
void write_thresholds(const std::filesystem::path& path, const ThresholdsFile& file);
nlohmann::ordered_json thresholds_json(const ThresholdsFile& file);

/// Reads and checks: format, sizes, ranges, and that the costs are those of the configuration.
/// Throws IoError, or FormatError naming the file and what is wrong with it.
ThresholdsFile read_thresholds(const std::filesystem::path& path);
/// The same of a file's text, without its name in the errors.
ThresholdsFile parse_thresholds_file(std::string_view text);

/// Throws ConfigError, naming both, unless the thresholds, read from `path`, are those of the
/// weights `fingerprint`, read from `weights`, in a network of this configuration.
void require_same_model(const ThresholdsFile& file, const std::filesystem::path& path,
                        const std::string& fingerprint, const MsdnetConfig& config,
                        const std::filesystem::path& weights);

/// The point that spends most of `mul_adds` (executed, mean a sample) on the images fitted on.
/// Throws ConfigError naming the smallest budget there is where `mul_adds` is below it.
const BudgetPoint& point_for_budget(const ThresholdsFile& file, double mul_adds);
/// The point fitted for p; throws ConfigError naming those there are.
const BudgetPoint& point_for_p(const ThresholdsFile& file, double p);

}  // namespace msd
