// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "models/network/config.h"
#include "models/network/state_layout.h"

namespace msd {

/// The fields of a configuration that somebody decided, by an option of that name; the others are
/// to be deduced. Every member has an initializer so that some can be named: {.blocks = 3}.
struct ConfigHints {
  std::optional<std::int64_t> blocks = {};
  std::optional<StepMode> step_mode = {};
  std::optional<std::int64_t> step = {}, base = {};
  std::optional<std::int64_t> init_channels = {}, growth_rate = {};
  std::optional<std::vector<std::int64_t>> growth_factors = {};
  std::optional<bool> bottleneck = {};
  std::optional<std::vector<std::int64_t>> bottleneck_factors = {};
  std::optional<PruneMode> prune = {};
  std::optional<double> reduction = {};
  std::optional<std::int64_t> classes = {};
  std::optional<InputKind> input_kind = {};
  std::optional<std::int64_t> image_size = {};
};

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
