// SPDX-License-Identifier: MIT
// What a convolution on the CPU cannot do. Compiled once, not with the bodies: an exception's
// constructor compiled with wide instructions must not be the copy the linker keeps.
#pragma once

#include "kernels/contracts/convolution.h"

namespace msd::cpu {

/// Throws ShapeError naming `op` unless dtype is f32 or f64.
void require_cpu_dtype(const char* op, DType dtype);

/// Throws ShapeError: one row of `op` needs `bytes` of a worker's scratch memory and there are
/// fewer.
[[noreturn]] void throw_scratch_too_small(const char* op, const ConstView& source,
                                          const ConvGeometry& geometry, std::int64_t bytes);

}  // namespace msd::cpu
