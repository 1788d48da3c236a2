// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "models/network/state_layout.h"

namespace msd {

/// A layer of the trunk, as the names of a state dictionary show it.
struct StateLayer {
  std::string name;         // "blocks.1.0."
  std::int64_t scales = 0;  // that it writes, at least 1
  std::string transition;   // "blocks.1.1.", or empty where none follows

  /// "blocks.1.0.layers.0.conv_normal.net."; `j` counts from the finest scale written.
  std::string branch(std::int64_t j, std::string_view which) const;
};

/// The modules that a state dictionary's names describe. It holds no more layers, blocks and scales
/// than there are names, and may still be no MSDNet's.
struct StateStructure {
  InputKind input_kind = InputKind::cifar;
  std::int64_t scales = 0;
  std::vector<std::int64_t> block_layers;  // one a block, at least 1
  std::vector<StateLayer> layers;          // of all blocks
};

/// Throws ConfigError where the names are not an MSDNet's at all.
StateStructure read_structure(const StateShapes& shapes);

/// What is to be said of shapes that contradict each other.
inline constexpr std::string_view kNotAnMsdnet =
    ": not an MSDNet of any configuration, or a damaged file";

/// Whether a name starts with this.
bool any_below(const StateShapes& shapes, const std::string& prefix);

/// The shape of a tensor that must have `rank` dimensions, each between 1 and 2^31; throws
/// ConfigError naming it where it is missing or does not.
const std::vector<std::int64_t>& shape_of(const StateShapes& shapes, const std::string& name,
                                          std::size_t rank);

/// The shape of the convolution `net` + `index` + ".weight", [cout, cin, k, k]; throws ConfigError
/// where its batch norm, the module behind it, has another number of channels.
const std::vector<std::int64_t>& conv_shape(const StateShapes& shapes, const std::string& net,
                                            int index);

}  // namespace msd
