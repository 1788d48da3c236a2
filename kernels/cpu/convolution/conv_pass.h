// SPDX-License-Identifier: MIT
// The forward convolution and its gradient with respect to the input, as one thing: for each class
// of destination pixels, dst(row, column) = sum over taps of weights * src(row*step + tap +
// origin). Forward has one class: step = stride, origin = -padding, kernel x kernel taps. The
// gradient has stride x stride classes of input pixels (by their remainders); each is a convolution
// of dy with step 1 and every stride-th tap, in falling order. Classes without taps get zeros.
#pragma once

#include "kernels/cpu/device/body.h"

namespace msd::cpu::MSD_ISA {

/// One axis of a class. Destination index = first + i*dst_step for i < count.
struct AxisClass {
  std::int64_t first, count;
  std::int64_t taps, origin;         // reads source i*step + origin + [0, taps)
  std::int64_t first_tap, tap_step;  // kernel index of tap t = first_tap + t*tap_step
  std::int64_t taps_before;          // taps of the classes before this one
};

/// What the classes of a pass share.
struct PassGeometry {
  ConvGeometry geometry;
  ConvPass pass;

  bool forward() const { return pass == ConvPass::forward; }
  std::int64_t src_channels() const { return forward() ? geometry.cin : geometry.cout; }
  std::int64_t dst_channels() const { return forward() ? geometry.cout : geometry.cin; }
  std::int64_t step() const { return forward() ? geometry.stride : 1; }
  std::int64_t dst_step() const { return forward() ? 1 : geometry.stride; }
  /// Class `r` (0 <= r < dst_step()) of an axis whose destination has `size` pixels.
  AxisClass axis(std::int64_t r, std::int64_t size) const {
    const std::int64_t k = geometry.kernel, p = geometry.padding, s = geometry.stride;
    if (forward()) return {0, size, k, -p, 0, 1, 0};
    const std::int64_t q = (r + p) % s;
    const std::int64_t taps = q < k ? ceil_div(k - q, s) : 0;
    std::int64_t before = 0;
    for (std::int64_t i = 0; i < r; ++i) {
      const std::int64_t qi = (i + p) % s;
      before += qi < k ? ceil_div(k - qi, s) : 0;
    }
    const std::int64_t count = r < size ? ceil_div(size - r, s) : 0;
    return {r, count, taps, (r + p - q) / s - (taps - 1), q + s * (taps - 1), -s, before};
  }
  /// Where the weights of class (row, column) start, in units of source channels * packed lanes.
  std::int64_t taps_before(const AxisClass& row, const AxisClass& column) const {
    return row.taps_before * geometry.kernel + row.taps * column.taps_before;
  }
  /// Source indices [first, last) that destination indices i in [begin, end) of any class read.
  void extent(std::int64_t size, std::int64_t begin, std::int64_t end, std::int64_t& first,
              std::int64_t& last) const {
    first = last = 0;
    bool any = false;
    for (std::int64_t r = 0; r < dst_step(); ++r) {
      const AxisClass a = axis(r, size);
      const std::int64_t stop = end < a.count ? end : a.count;
      if (a.taps == 0 || stop <= begin) continue;
      const std::int64_t lo = begin * step() + a.origin;
      const std::int64_t hi = (stop - 1) * step() + a.origin + a.taps;
      first = !any || lo < first ? lo : first;
      last = !any || hi > last ? hi : last;
      any = true;
    }
  }
};

}  // namespace msd::cpu::MSD_ISA
