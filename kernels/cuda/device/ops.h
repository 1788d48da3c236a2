// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "kernels/ops.h"

namespace msd::cuda {

// The CUDA bodies, one for each op of the list. Where the list says not_yet, or in a build without
// CUDA, the body throws ConfigError and names the op.
#define MSD_OP(name, Args, cuda_state) void name(Context& context, std::span<const Args> group);
#include "kernels/op_list.inc"
#undef MSD_OP

/// Ops that have no CUDA body in this build.
std::vector<std::string_view> missing_ops();

}  // namespace msd::cuda
