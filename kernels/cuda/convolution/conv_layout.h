// SPDX-License-Identifier: MIT
// How conv_pack lays weights out for the other convolution ops; see conv_pack.cu.
#pragma once

#include "kernels/error.h"
#include "kernels/view.h"

namespace msd::cuda {

inline constexpr int kPackedRowBytes = 16;  // rows are padded to a multiple

/// Elements from one row of packed weights to the next.
inline std::int64_t packed_row_elems(std::int64_t ins, DType dtype) {
  return round_up(ins, kPackedRowBytes / size_bytes(dtype));
}

/// A size for 32-bit arithmetic in a kernel; throws ShapeError naming the op.
inline int narrowed(const char* op, std::int64_t size) {
  MSD_CHECK(size >= 0 && size <= 0x7FFFFFFF, op, ": a size of ", size, "; at most 2147483647");
  return static_cast<int>(size);
}

struct Context;
struct Problem;
/// Writes a convolution's packed weights (f32 or bf16) as [cout][kernel][kernel][cin] to `dense`.
void unpack_weights(const Context& context, const Problem& problem, const void* packed,
                    void* dense);

}  // namespace msd::cuda
