// SPDX-License-Identifier: MIT
#pragma once

#include "apps/infer/infer_options.h"

namespace msd {

/// Runs the command line of msd-infer. Throws IoError, all others being told, where images could
/// not be classified.
void infer(InferOptions& options);

}  // namespace msd
