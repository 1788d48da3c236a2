// SPDX-License-Identifier: MIT
// What an exit rule comes to: the one decision of early exit, for images and for records of them.
#pragma once

#include <cstdint>
#include <vector>

#include "models/exits/exit_rule.h"

namespace msd {

/// Which exits, from 0, run for this rule in a network of so many. Throws ConfigError where there
/// is no such exit, or not one threshold for each, or a threshold or deadline that is none.
std::vector<std::int64_t> exits_that_run(const ExitRule& rule, std::int64_t exits);

/// Whether an image leaves at an exit, from 0, that is so confident. The last exit that runs takes
/// all, and when a deadline is too near only a clock can tell.
bool leaves(const ExitRule& rule, std::int64_t exit, float confidence);

/// The same for thresholds, of which the last exit's counts as 0.
bool reaches(const Thresholds& thresholds, std::int64_t exit, float confidence);

}  // namespace msd
