// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "apps/common/options.h"
#include "data/catalog.h"
#include "data/split.h"
#include "engine/runtime.h"

namespace msd {

/// The options that choose the data and the hold-out, and what a run stores of them to find the
/// same images again.
class DataOptions {
 public:
  /// Which data; `for_training` also offers the hold-out's making.
  void add_to(CommandLine& line, bool for_training);

  /// How the images of a set that resizes them are brought to one size; without a value they stay
  /// as they are.
  void set_fit(const std::optional<ImageFit>& fit) { dataset_.fit = fit; }
  /// Whether the data set resizes its images.
  bool resizes() const { return row().resizes; }

  /// Wrong usage where an option of making the hold-out or the data has no effect. Call from the
  /// command line's on_parsed(), where they were added for training. dataset_follows: where
  /// --dataset is not given, set_defaults() will say it.
  void check_usage(bool dataset_follows) const;

  /// Loads the data set and tells its remarks on stderr. Throws ConfigError where an option is
  /// missing or does not fit.
  Dataset load(Runtime& runtime) const;
  /// The split of --split, or the one the options describe (a tenth by default).
  Split split(const Dataset& data) const;

  bool dataset_given() const;
  /// Of the data set, as in data/catalog.h.
  const std::string& name() const { return dataset_.name; }
  /// Classes of the data set that --dataset names, where its name alone tells them.
  std::optional<std::int64_t> classes_of_name() const;
  /// Takes over what a run stored, where the command line does not say otherwise.
  void set_defaults(const nlohmann::json& stored);
  nlohmann::json to_json() const;
  /// --data and --split, "" where they are not given.
  const std::string& folder() const { return dataset_.folder; }
  const std::string& split_path() const { return split_; }
  /// Without the folder, which may differ from machine to machine.
  nlohmann::json identity() const;

 private:
  /// The data set's. Throws ConfigError where a stored name is none.
  const DatasetRow& row() const;

  DatasetOptions dataset_;
  bool dataset_stored_ = false;  // set_defaults() said it
  std::int64_t holdout_ = -1;    // -1: a tenth
  std::string holdout_mode_ = "random";
  std::int64_t holdout_seed_ = 1;
  std::string split_;
  const CommandLine* line_ = nullptr;
  Option dataset_option_;
  Option data_option_;
};

}  // namespace msd
