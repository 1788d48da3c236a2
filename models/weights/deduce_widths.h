// SPDX-License-Identifier: MIT
// A part of deduce_config(): the fields that are read off shapes.
#pragma once

#include "models/weights/deduce_config.h"
#include "models/weights/state_structure.h"

namespace msd {

/// Sets bottleneck and bottleneck_factors. Looks at as few tensors as will do: where they
/// contradict each other, the configuration fits some of them.
void deduce_bottleneck(const StateShapes& shapes, const StateStructure& structure,
                       MsdnetConfig& config);

/// Sets init_channels, growth_rate, growth_factors and, where there are transitions, reduction, in
/// the same way; bottleneck must be set. The structure's layers must be those of a pruning mode.
/// Of equal configurations it takes one that agrees with the hints.
void deduce_widths(const StateShapes& shapes, const StateStructure& structure,
                   const ConfigHints& hints, MsdnetConfig& config);

}  // namespace msd
