// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "apps/common/data_options.h"
#include "apps/common/model_options.h"
#include "apps/common/options.h"
#include "apps/common/precision.h"
#include "apps/common/preprocessing_options.h"
#include "apps/common/runtime_options.h"

namespace msd {

/// The command line of msd-infer.
class InferOptions {
 public:
  void add_to(CommandLine& line);

  bool given(const char* option) const;
  /// True where the images are those of a data set.
  bool from_dataset() const;

  std::string weights;
  ModelOptions model;
  DataOptions data;
  PreprocessingOptions preprocessing;
  RuntimeOptions runtime;
  PrecisionOption precision;

  std::vector<std::string> inputs;  // image files and folders
  std::string part = "test";
  std::int64_t limit = 0;  // 0: all
  std::string tensors, logits;

  // The exit rule: at most one of these is given.
  double threshold = 0.0;
  std::string thresholds;
  double budget = 0.0, p = 0.0;
  std::int64_t exit = 0;  // from 1
  double deadline_ms = 0.0;
  bool all_exits = false;

  int top = 5;
  bool json = false, verbose = false;

 private:
  void add_inputs(CommandLine& line);
  void add_rules(CommandLine& line);
  void check_usage() const;

  const CommandLine* line_ = nullptr;
};

}  // namespace msd
