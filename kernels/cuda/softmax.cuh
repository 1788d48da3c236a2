// SPDX-License-Identifier: MIT
// What the kernels over logits share: a warp has a row of `classes` values, lane l the classes l,
// l + 32, ... Each class is read and written by its own lane, so that results may replace logits.
// exp in the accumulator's type; sums in double, a lane's in the order of its classes, then a
// butterfly. A row's bits depend on nothing but the row.
#pragma once

#include "kernels/cuda/device/elements.cuh"
#include "kernels/cuda/device/group.cuh"

namespace msd::cuda {

inline constexpr int kRowWarps = 8;  // rows of a block at a time
inline constexpr int kRowThreads = kRowWarps * kWarpSize;
inline constexpr int kRowBlocks = 3;  // at least resident; with 4 nvcc 13 would spill in f64

MSD_DEVICE float exponential(float value) { return expf(value); }
MSD_DEVICE double exponential(double value) { return exp(value); }

/// The row's largest logit, NaN where one is; the same in all lanes.
template <typename T>
MSD_DEVICE Accumulator<T> row_maximum(const T* z, std::int64_t classes) {
  using A = Accumulator<T>;
  A max = -kInfinity<A>;
  bool nan = false;
  for (std::int64_t i = lane_index(); i < classes; i += kWarpSize) {
    const A value = widen(z[i]);
    nan = nan || value != value;
    max = max < value ? value : max;
  }
  max = warp_max(max);
  return warp_any(nan) ? kNaN<A> : max;
}

/// sum exp(z - max) in all lanes.
template <typename T>
MSD_DEVICE double exponential_sum(const T* z, std::int64_t classes, Accumulator<T> max) {
  double sum = 0.0;
  for (std::int64_t i = lane_index(); i < classes; i += kWarpSize) {
    sum += static_cast<double>(exponential(widen(z[i]) - max));
  }
  return warp_sum(sum);
}

}  // namespace msd::cuda
