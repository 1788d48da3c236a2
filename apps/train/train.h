// SPDX-License-Identifier: MIT
#pragma once

#include "apps/train/train_options.h"

namespace msd {

/// Trains a network as the command line says: a new run or one that goes on, or what it names
/// instead of a run. Returns the exit code: 0, or 130 where a signal stopped the run, which is
/// saved.
int train(const TrainOptions& options);

}  // namespace msd
