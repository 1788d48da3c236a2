// SPDX-License-Identifier: MIT
// What the convolution bodies share with code compiled once: their error paths (an exception's
// constructor compiled with wide instructions must not be the copy the linker keeps) and the split
// of a weight gradient into chunks, which the workspace's size depends on.
#pragma once

#include "kernels/contracts/convolution.h"

namespace msd::cpu {

/// Throws ShapeError naming `op` unless dtype is f32 or f64.
void require_cpu_dtype(const char* op, DType dtype);

/// Throws ShapeError: one row of `op` needs `bytes` of a worker's scratch memory and there are
/// fewer.
[[noreturn]] void throw_scratch_too_small(const char* op, const ConstView& source,
                                          const ConvGeometry& geometry, std::int64_t bytes);

/// Chunks of output rows whose contributions to a weight gradient are summed apart and then added
/// in order. Depends on the shapes alone. At least 1.
std::int64_t weight_gradient_chunks(const ConvGeometry& geometry, std::int64_t n, std::int64_t h,
                                    std::int64_t w);

/// Elements of one chunk's partial sums: dw in either layout of convolution_backward_weight.cpp,
/// then dbias; a multiple of 16.
std::int64_t weight_gradient_partial_elems(const ConvGeometry& geometry);

}  // namespace msd::cpu
