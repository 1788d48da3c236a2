// SPDX-License-Identifier: MIT
// What exits depend on: which operations each adds, so that early exit computes no more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/network/architecture.h"

namespace msd {

/// 0 .. exits() - 1.
std::vector<std::int64_t> all_exits(const Architecture& architecture);

/// Throws ShapeError unless `exits` are at least one of the architecture's, from 0 and rising.
void check_exits(const Architecture& architecture, const std::vector<std::int64_t>& exits);

/// Marks the operations that any of `exits` (indices from 0) depends on, found backwards through
/// the channel ranges.
std::vector<bool> required_operations(const Architecture& architecture,
                                      const std::vector<std::int64_t>& exits);

/// Cuts the operations (their indices, in execution order) into stages, one an exit: each holds
/// what its exit of `exits`, which rise, depends on and no earlier one of them does (lazy). One
/// exit: what it depends on alone (direct).
std::vector<std::vector<std::size_t>> stages(const Architecture& architecture,
                                             const std::vector<std::int64_t>& exits);

}  // namespace msd
