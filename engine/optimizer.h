// SPDX-License-Identifier: MIT
#pragma once

#include "engine/parameters.h"
#include "kernels/ops.h"

namespace msd {

struct SgdOptions {
  double momentum = 0.9;
  bool nesterov = true;
  double weight_decay = 1e-4;
};

/// Stochastic gradient descent with momentum over a parameter set's flat buffers; velocities live
/// in the set.
class Sgd {
 public:
  explicit Sgd(SgdOptions options) : options_(options) {}
  /// One step; what has no gradient is left alone.
  void step(ExecutionContext& context, ParameterSet& parameters, double lr) const;

 private:
  SgdOptions options_;
};

/// First flat element of `flat` that is NaN or infinite, or -1.
std::int64_t first_not_finite(ExecutionContext& context, const Tensor& flat);

}  // namespace msd
