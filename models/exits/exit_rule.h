// SPDX-License-Identifier: MIT
// An installed library has this file as msd/exit_rule.h: it needs the standard library alone.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

namespace msd {

/// An image leaves at the last exit.
struct LastExit {};

/// It leaves there, and every exit answers on the way.
struct EveryExit {};

/// It leaves at this exit, from 1. The classifiers before it do not run.
struct FixedExit {
  std::int64_t exit = 1;
};

/// It leaves at the first exit that is at least so confident, 0 to 1; the last one takes all.
struct Threshold {
  float confidence = 0.0f;
};

/// The same with a confidence of its own for each exit. +infinity: nobody leaves there.
using Thresholds = std::vector<float>;

/// It leaves before the exit that is expected to answer later than this after the image is there in
/// the network's size; the first exit always answers.
struct Deadline {
  double microseconds = 0.0;
};

/// When an image leaves the network.
using ExitRule = std::variant<LastExit, EveryExit, FixedExit, Threshold, Thresholds, Deadline>;

/// Which exits, from 0, run for this rule in a network of so many. Throws ConfigError where there
/// is no such exit, or not one threshold for each, or a threshold or deadline that is none.
std::vector<std::int64_t> exits_that_run(const ExitRule& rule, std::int64_t exits);

/// Whether an image leaves at an exit, from 0, that is so confident. The last exit that runs takes
/// all, and when a deadline is too near only a clock can tell.
bool leaves(const ExitRule& rule, std::int64_t exit, float confidence);

/// The same for thresholds, of which the last exit's counts as 0.
bool reaches(const Thresholds& thresholds, std::int64_t exit, float confidence);

}  // namespace msd
