// SPDX-License-Identifier: MIT
#pragma once

#include "kernels/view.h"

namespace msd {

/// Square window. Output size: (size + 2*padding - kernel) / stride + 1; padding <= kernel/2.
struct PoolGeometry {
  std::int64_t kernel = 2, stride = 2, padding = 0;
  std::int64_t out_size(std::int64_t in_size) const {
    return (in_size + 2 * padding - kernel) / stride + 1;
  }
};

/// y = max over the window's positions inside the image; NaN if any of them is NaN.
struct MaxPoolForwardArgs {
  ConstView x;
  View y;
  PoolGeometry geometry;
  void check() const;
};

/// The gradient goes to the window's first maximum in row-major order (PyTorch's choice), found
/// again from x. dx (+)= as `accumulate` says.
struct MaxPoolBackwardArgs {
  ConstView x;
  ConstView dy;
  View dx;
  PoolGeometry geometry;
  bool accumulate = false;
  void check() const;
};

/// y = mean over kernel_h x kernel_w windows, stride = kernel, no padding; what is left over at the
/// right and bottom is not read.
struct AvgPoolForwardArgs {
  ConstView x;
  View y;
  std::int64_t kernel_h = 2, kernel_w = 2;
  void check() const;
};

/// dx (+)= dy / (kernel_h*kernel_w) over each window; left-over positions get 0 (or nothing added).
struct AvgPoolBackwardArgs {
  ConstView dy;
  View dx;
  std::int64_t kernel_h = 2, kernel_w = 2;
  bool accumulate = false;
  void check() const;
};

}  // namespace msd
