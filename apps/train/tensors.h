// SPDX-License-Identifier: MIT
#pragma once

#include "apps/train/train_options.h"

namespace msd {

/// --tensors: steps on the tensors of a file; prints their losses and writes the state after them.
void train_on_tensors(const TrainOptions& options);

}  // namespace msd
