// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "apps/common/options.h"
#include "data/dataset.h"
#include "data/split.h"
#include "engine/runtime.h"

namespace msd {

/// True for the names --dataset takes.
bool is_dataset(const std::string& name);

/// The options that choose the data and the hold-out, and what a run stores of them to find the
/// same images again.
class DataOptions {
 public:
  /// Which data; `for_training` also offers the hold-out's making.
  void add_to(CommandLine& line, bool for_training);

  /// Brings the images of a folder to this size, the network's of --image-size; without a value
  /// they stay as the options or the stored run have it. Call after set_defaults().
  void fit_images_to(std::optional<std::int64_t> image_size);

  /// Wrong usage where an option of making the hold-out or the data has no effect. Call from the
  /// command line's on_parsed(), where they were added for training.
  void check_usage() const;

  /// Loads the data set. Throws ConfigError where an option is missing or does not fit.
  Dataset load(Runtime& runtime) const;
  /// The split of --split, or the one the options describe (a tenth by default).
  Split split(const Dataset& data) const;

  const std::string& dataset() const { return dataset_; }
  bool dataset_given() const;
  /// Classes of the data set that --dataset names, where its name alone tells them.
  std::optional<std::int64_t> classes_of_name() const;
  /// Takes over what a run stored, where the command line does not say otherwise.
  void set_defaults(const nlohmann::json& stored);
  nlohmann::json to_json() const;
  /// Without the folder, which may differ from machine to machine.
  nlohmann::json identity() const;

 private:
  std::string dataset_ = "synthetic";
  std::string data_;
  std::int64_t image_size_ = 0;  // of a folder's images; 0: as they are
  std::int64_t holdout_ = -1;    // -1: a tenth
  std::string holdout_mode_ = "random";
  std::int64_t holdout_seed_ = 1;
  std::string split_;
  std::int64_t synthetic_train_ = 10000, synthetic_test_ = 2000, synthetic_seed_ = 1;
  const CommandLine* line_ = nullptr;
  Option dataset_option_;
  Option data_option_;
};

/// Bytes and counts as a person writes them: "20M" = 20,000,000; "1.5G"; "300k"; "4.3T"; plain
/// numbers.
/// Throws ConfigError naming `option`.
double parse_quantity(const std::string& text, const std::string& option);

}  // namespace msd
