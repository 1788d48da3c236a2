// SPDX-License-Identifier: MIT
#pragma once

#include "apps/common/model_file.h"
#include "apps/eval/eval_options.h"

namespace msd {

/// What both modes work on; everything is borrowed.
struct EvalRun {
  Runtime& runtime;
  const EvalOptions& options;
  const Checkpoint& checkpoint;
  const Network& network;
  const Dataset& data;
  const DataDescription& description;
};

/// Accuracy, cost and time of every exit.
void evaluate_anytime(const EvalRun& run);

/// Fits thresholds for the 39 budgets, evaluates them and writes both.
void evaluate_budgets(const EvalRun& run);

}  // namespace msd
