// SPDX-License-Identifier: MIT
#pragma once

#include "apps/eval/eval.h"

namespace msd {

/// --mode budget: fits thresholds for the 39 budgets, evaluates them and writes both.
void evaluate_budgets(const EvalRun& run);

}  // namespace msd
