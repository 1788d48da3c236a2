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

}  // namespace msd
