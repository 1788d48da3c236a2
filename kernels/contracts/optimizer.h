// SPDX-License-Identifier: MIT
#pragma once

#include "kernels/view.h"

namespace msd {

/// One SGD step over flat buffers of `count` elements of `dtype` (f32 or f64), in place:
/// g = grad + weight_decay*w; v = momentum*v + g; w -= lr*(nesterov ? g + momentum*v : v).
/// PyTorch's rule without dampening (v starts at 0). mask: [count] bytes, 0 = leave w and v alone;
/// null = all. lr: one value where the buffers lie, read when the op runs, so that a captured step
/// can be replayed with another. The buffers don't overlap.
struct SgdArgs {
  void* weight = nullptr;
  const void* gradient = nullptr;
  void* velocity = nullptr;
  const std::uint8_t* mask = nullptr;
  std::int64_t count = 0;
  DType dtype = DType::f32;
  const double* lr = nullptr;
  double momentum = 0.9, weight_decay = 0.0;
  bool nesterov = true;
  void check() const;
};

/// first_bad[0] = index of the first NaN or infinity among `count` contiguous elements, or -1.
struct FiniteCheckArgs {
  const void* data = nullptr;
  std::int64_t count = 0;
  DType dtype = DType::f32;
  std::int64_t* first_bad = nullptr;
  void check() const;
};

}  // namespace msd
