// SPDX-License-Identifier: MIT
#pragma once

#include "apps/eval/eval.h"

namespace msd {

/// --mode anytime: accuracy, cost and time of every exit.
void evaluate_anytime(const EvalRun& run);

}  // namespace msd
