// SPDX-License-Identifier: MIT
#pragma once

#include "apps/infer/infer_options.h"

namespace msd {

/// Runs the command line of msd-infer.
void infer(InferOptions& options);

}  // namespace msd
