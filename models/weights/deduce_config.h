// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "models/network/config.h"
#include "models/network/config_hints.h"
#include "models/network/state_layout.h"

namespace msd {

struct DeducedConfig {
  MsdnetConfig config;
  /// What no file can tell and nobody decided, each with what was taken, for people.
  std::vector<std::string> undecided;
};

/// The configuration whose network has exactly these tensors. `num_batches_tracked` (PyTorch before
/// 0.4.1) and the bias of the ImageNet stem's convolution may be absent.
///
/// Names and shapes settle the network but for the size of its input. Where several configurations
/// describe it, the hints choose, then: even steps, pruning by max, a reduction of 0.5 or else of
/// the fewest decimals, the smallest factors.
///
/// Throws ConfigError naming the tensor, the value expected and the options given where no
/// configuration, or none with these hints, has these tensors. Time and memory grow with the names
/// alone, whatever they and the shapes say.
DeducedConfig deduce_config(const StateShapes& shapes, const ConfigHints& hints = {});

}  // namespace msd
