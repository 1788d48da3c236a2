// SPDX-License-Identifier: MIT
// Where a weight lies as the caller has it, [cout][tap][cin], and packed, [tap][row][in]: conv_pack
// goes from the first to the second, conv_unpack back.
#pragma once

#include "kernels/cuda/device/group.cuh"

namespace msd::cuda {

inline constexpr int kPackedRowBytes = 16;  // rows are padded to a multiple

/// Elements from one row of packed weights to the next.
inline std::int64_t packed_row_elems(std::int64_t ins, DType dtype) {
  return round_up(ins, kPackedRowBytes / size_bytes(dtype));
}

/// Rows are the output channels of the pass, `in` its input channels; transposed: of backward_data,
/// whose rows are the convolution's input channels.
struct PackedWeights {
  int rows, ins, row_elems, taps;
  bool transposed;

  PackedWeights(const char* op, std::int64_t cout, std::int64_t cin, std::int64_t kernel,
                DType dtype, bool transposed_)
      : rows(narrowed(op, transposed_ ? cin : cout)),
        ins(narrowed(op, transposed_ ? cout : cin)),
        row_elems(narrowed(op, packed_row_elems(ins, dtype))),
        taps(narrowed(op, kernel * kernel)),
        transposed(transposed_) {}
  PackedWeights() = default;

  struct Weight {
    std::int64_t tap, row, in;
  };
  /// What lies at an index of the packed buffer; padding where !contains().
  MSD_DEVICE Weight packed_at(std::int64_t index) const {
    return {index / row_elems / rows, index / row_elems % rows, index % row_elems};
  }
  MSD_DEVICE bool contains(const Weight& w) const { return w.tap < taps && w.in < ins; }
  MSD_DEVICE std::int64_t packed_index(const Weight& w) const {
    return (w.tap * rows + w.row) * row_elems + w.in;
  }
  MSD_DEVICE Weight dense_at(std::int64_t index) const {
    const int inner = transposed ? rows : ins;
    const std::int64_t tap = index / inner % taps, last = index % inner;
    const std::int64_t first = index / inner / taps;
    return transposed ? Weight{tap, last, first} : Weight{tap, first, last};
  }
  MSD_DEVICE std::int64_t dense_index(const Weight& w) const {
    return transposed ? (w.in * taps + w.tap) * rows + w.row : (w.row * taps + w.tap) * ins + w.in;
  }
};

}  // namespace msd::cuda
