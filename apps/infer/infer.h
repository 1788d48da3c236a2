// SPDX-License-Identifier: MIT
#pragma once

#include "apps/infer/infer_options.h"

namespace msd {

/// Runs the command line of msd-infer. Returns the exit code: 0, or 130 where a signal stopped it
/// between two images, the results of those before printed. Throws IoError, all others being told,
/// where images could not be classified.
int infer(InferOptions& options);

}  // namespace msd
