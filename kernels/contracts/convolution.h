// SPDX-License-Identifier: MIT
#pragma once

#include "kernels/view.h"

namespace msd {

/// A convolution's weights are [cout][kh][kw][cin] (PyTorch's OIHW with the input channel moved
/// last). Output size: (size + 2*padding - kernel) / stride + 1. No dilation, no groups.
struct ConvGeometry {
  std::int64_t cin = 0, cout = 0;
  std::int64_t kernel = 1, stride = 1, padding = 0;

  std::int64_t out_size(std::int64_t in_size) const {
    return (in_size + 2 * padding - kernel) / stride + 1;
  }
  std::int64_t weight_elems() const { return cout * kernel * kernel * cin; }
};

/// Which op the packed weights are for.
enum class ConvPass : std::uint8_t { forward, backward_data };

/// Elements a packed weight buffer must hold; enough for every backend's layout.
std::int64_t conv_packed_elems(const ConvGeometry& geometry, ConvPass pass);

/// Brings weights into the layout the backend's convolution reads. The layout is private to the
/// backend and the build; a packed buffer is only good for the same geometry, pass and dtype.
/// weight: [cout][kernel][kernel][cin] of accumulator_of(dtype). packed: conv_packed_elems of
/// dtype, aligned to 64 bytes; overwritten whole. They don't overlap.
struct ConvPackArgs {
  const void* weight = nullptr;
  void* packed = nullptr;
  ConvGeometry geometry;
  ConvPass pass = ConvPass::forward;
  DType dtype = DType::f32;
  void check() const;
};

/// What a convolution can leave of its output for the batch norm that reads it, so that this needs
/// no pass over its input for mean and variance: moments of parts of the rows, of each channel.
/// Only CUDA's conv_forward fills it; the CPU's leaves `of` empty, and the batch norm reads its
/// input. What the parts are and how they lie is private to the backend and the build. Made and
/// kept by who makes the argument structs of the two ops.
struct BatchStatistics {
  void* data = nullptr;    // aligned to 64
  std::int64_t bytes = 0;  // at least batch_statistics_bytes of the output
  /// Set by every conv_forward: its output, whose statistics are in `data`; no data where it left
  /// none.
  ConstView of = {};
};

/// Enough for every backend.
std::int64_t batch_statistics_bytes(const ConstView& output);
/// Throws ShapeError naming `op` unless there is room for the statistics of `output`.
void check_statistics(const BatchStatistics& statistics, const ConstView& output, const char* op);

/// y = [relu](conv(x, weight) [+ bias]), y overwritten.
/// x: [n,h,w,cin]; packed: from conv_pack, pass forward; bias: [cout] of accumulator_of(dtype) or
/// null; y: [n,out_size(h),out_size(w),cout], not overlapping x (slices of one buffer may
/// interleave). Source of formula: cross-correlation, as in every framework.
/// Batch-invariant: an image's bits depend neither on n nor on its position in the batch.
/// statistics: null, or where the op may leave those of y as it is stored; it says whether it did.
struct ConvForwardArgs {
  ConstView x;
  const void* packed = nullptr;
  const void* bias = nullptr;
  View y;
  ConvGeometry geometry;
  bool relu = false;
  BatchStatistics* statistics = nullptr;
  void check() const;
};

/// dx (+)= conv^T(dy, weight). accumulate adds to dx, otherwise dx is overwritten (positions no
/// output reads become 0). packed: from conv_pack, pass backward_data.
struct ConvBackwardDataArgs {
  ConstView dy;
  const void* packed = nullptr;
  View dx;
  ConvGeometry geometry;
  bool accumulate = false;
  void check() const;
};

/// dw = sum over images and positions of x (x) dy, overwritten, [cout][kernel][kernel][cin] of
/// accumulator_of(dtype); dbias = sum of dy, [cout], or null. The order of the sum depends on the
/// shapes alone (not on threads). workspace: conv_backward_weight_workspace_bytes, aligned to 64.
struct ConvBackwardWeightArgs {
  ConstView x;
  ConstView dy;
  void* dw = nullptr;
  void* dbias = nullptr;
  ConvGeometry geometry;
  void* workspace = nullptr;
  std::int64_t workspace_bytes = 0;
  void check() const;
};

/// Enough for every backend: at most 8 copies of dw with its rows padded, or 8 MiB where that is
/// more.
std::int64_t conv_backward_weight_workspace_bytes(const ConvGeometry& geometry, std::int64_t n,
                                                  std::int64_t h, std::int64_t w, DType dtype);

}  // namespace msd
