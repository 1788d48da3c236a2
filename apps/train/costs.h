// SPDX-License-Identifier: MIT
#pragma once

#include "apps/train/train_options.h"

namespace msd {

/// --dry-run: prints what the network costs, and with --bandwidth the least time it takes.
void print_costs(const TrainOptions& options);

}  // namespace msd
