// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

#include "apps/common/data_options.h"
#include "apps/common/model_options.h"
#include "apps/common/options.h"
#include "apps/common/precision.h"
#include "apps/common/preprocessing_options.h"
#include "apps/common/runtime_options.h"
#include "apps/eval/report.h"

namespace msd {

/// The command line of msd-eval.
class EvalOptions {
 public:
  void add_to(CommandLine& line);

  ReportFormat format() const;
  bool split_given() const;
  /// Where the thresholds go: beside the weights unless told otherwise.
  std::string thresholds_path() const;

  std::string weights;
  RuntimeOptions runtime;
  PrecisionOption precision;
  ModelOptions model;
  DataOptions data;
  PreprocessingOptions preprocessing;
  std::string mode = "anytime", part = "test", fit_part = "holdout", output;
  std::int64_t time_images = 100, batch_size = 0;  // 0: preferred_batch()

 private:
  void check_usage() const;

  const CommandLine* line_ = nullptr;
  std::string format_ = "table", thresholds_;
  bool json_ = false;
};

}  // namespace msd
