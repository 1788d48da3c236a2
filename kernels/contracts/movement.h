// SPDX-License-Identifier: MIT
#pragma once

#include <span>

#include "kernels/view.h"

namespace msd {

/// y's channels = the inputs' channels one after another. Same n, h, w; y overlaps no input.
struct ConcatArgs {
  std::span<const ConstView> inputs;
  View y;
  void check() const;
};

/// y = x, both possibly slices, of one shape, not overlapping.
struct CopyArgs {
  ConstView x;
  View y;
  void check() const;
};

/// y += x, both possibly slices, of one shape; the same view doubles.
struct AccumulateArgs {
  ConstView x;
  View y;
  void check() const;
};

/// y = value.
struct FillArgs {
  View y;
  double value = 0.0;
  void check() const;
};

/// y's image i = x's image index[i]; y.n indices in [0, x.n); repeats allowed; no overlap. An index
/// outside: on the CPU throws ShapeError naming it; on CUDA, where indices lie in device memory,
/// that image of y becomes NaN.
struct GatherRowsArgs {
  ConstView x;
  const std::int32_t* index = nullptr;
  View y;
  void check() const;
};

}  // namespace msd
