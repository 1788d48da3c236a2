// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "apps/common/data_options.h"
#include "apps/common/model_options.h"
#include "apps/common/options.h"
#include "apps/common/preprocessing_options.h"
#include "apps/common/runtime_options.h"
#include "apps/train/recipe_options.h"
#include "apps/train/trainer.h"

namespace msd {

/// The command line of msd-train.
class TrainOptions {
 public:
  void add_to(CommandLine& line);

  SavePolicy save_policy() const;
  /// What was typed, to be parsed again over a run's stored options.
  const std::vector<std::string>& arguments() const { return line_->arguments(); }

  ModelOptions model;
  DataOptions data;
  PreprocessingOptions preprocessing;
  RecipeOptions recipe;
  RuntimeOptions runtime;

  std::string run_dir = "runs/msd";
  bool resume = false, overwrite = false;
  std::string weights;
  bool optimizer_state = false;
  int workers = 1;
  std::int64_t save_every = 0, log_interval = 0;
  std::string keep = "0", on_save_error = "stop";
  bool json = false, dry_run = false;
  // Of the device whose floors --dry-run prints; 0: none.
  double bandwidth = 0.0, matrix_rate = 0.0;
  std::string tensors, save_state;
  std::int64_t steps = 1;

 private:
  void add_run(CommandLine& line);
  void add_instead_of_run(CommandLine& line);
  void check_usage() const;

  const CommandLine* line_ = nullptr;
};

}  // namespace msd
