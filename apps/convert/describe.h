// SPDX-License-Identifier: MIT
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "models/weights/checkpoint.h"

namespace msd {

/// A weights file with its configuration.
struct Weights {
  Checkpoint checkpoint;  // its config is set
  bool deduced = false;   // the configuration, from names and shapes
  std::vector<std::string> undecided;
};

/// Tells a person, or with --json a program, what the file holds.
void describe_weights(std::ostream& out, const Weights& weights, bool json);

}  // namespace msd
