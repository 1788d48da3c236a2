// SPDX-License-Identifier: MIT
#pragma once

#include "kernels/view.h"

namespace msd {

/// y[i][o] = bias[o] + sum_c x[i][c]*weight[o][c] over the rows i of x. weight [y.c][x.c] and bias
/// [y.c] of accumulator_of(dtype). Batch-invariant.
struct LinearForwardArgs {
  ConstView x;
  const void* weight = nullptr;
  const void* bias = nullptr;
  View y;
  void check() const;
};

/// dx (+)= dy*weight (skipped where dx.data is null), dw = dy^T*x and dbias = sum dy, overwritten.
struct LinearBackwardArgs {
  ConstView x;
  ConstView dy;
  const void* weight = nullptr;
  View dx;
  void* dw = nullptr;
  void* dbias = nullptr;
  bool accumulate = false;
  void check() const;
};

}  // namespace msd
