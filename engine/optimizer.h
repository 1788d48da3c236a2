// SPDX-License-Identifier: MIT
#pragma once

#include "engine/parameters.h"
#include "engine/runtime.h"

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
  /// Borrows both; the parameters are allocated already. The learning rate is 0 until it is set.
  /// Throws ConfigError unless 0 <= momentum < 1 and the decay is finite and not negative.
  Sgd(Runtime& runtime, ParameterSet& parameters, SgdOptions options);

  /// Of the steps from here on. Throws ConfigError where it is not finite.
  void set_lr(double lr);
  /// One step, a single op call with the same arguments every time; what has no gradient is left
  /// alone.
  void step();

 private:
  Runtime& runtime_;
  Tensor device_lr_;
  double lr_ = 0.0;
  SgdArgs args_;
};

/// First flat element of `flat` that is NaN or infinite, or -1.
std::int64_t first_not_finite(Runtime& runtime, const Tensor& flat);

}  // namespace msd
