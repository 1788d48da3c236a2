// SPDX-License-Identifier: MIT
#pragma once

#include "apps/common/model_file.h"
#include "apps/eval/eval_options.h"

namespace msd {

/// Evaluates a network's exits as the command line says; what it leaves open about the data is
/// taken from the checkpoint.
void eval(EvalOptions& options);

/// What an evaluation works on; everything is borrowed.
struct EvalRun {
  Runtime& runtime;
  const EvalOptions& options;
  const Checkpoint& checkpoint;
  const Network& network;
  const Dataset& data;
  const DataDescription& description;
};

}  // namespace msd
