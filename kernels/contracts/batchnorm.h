// SPDX-License-Identifier: MIT
#pragma once

#include "kernels/contracts/convolution.h"
#include "kernels/view.h"

namespace msd {

// Batch normalisation over the rows of each channel, followed by ReLU where `relu`.
// All per-channel vectors are [c] of accumulator_of(x.dtype).

/// Training: mean and biased variance of x over its rows; y = [relu](gamma*(x-mean)*invstd + beta);
/// running = (1-momentum)*running + momentum*batch, the running variance with the unbiased one
/// (rows/(rows-1); rows must be at least 2). y may be a channel slice; it doesn't overlap x.
/// Saves mean and invstd = 1/sqrt(var+epsilon) for backward.
/// statistics: null, or what conv_forward was given when it wrote x: mean and variance may come
/// from there if it left any; they are x's up to rounding.
struct BatchNormForwardArgs {
  ConstView x;
  View y;
  const void* gamma = nullptr;
  const void* beta = nullptr;
  void* running_mean = nullptr;
  void* running_var = nullptr;
  void* saved_mean = nullptr;
  void* saved_invstd = nullptr;
  double momentum = 0.1;
  double epsilon = 1e-5;
  bool relu = true;
  const BatchStatistics* statistics = nullptr;
  void check() const;
};

/// g = dy where gamma*(x-mean)*invstd + beta > 0 (everywhere without relu), else 0;
/// dbeta = sum g, dgamma = sum g*xhat, dx = gamma*invstd*(g - dbeta/rows - xhat*dgamma/rows),
/// all overwritten. dx may be the same view as dy or x (element for element), or apart from both.
struct BatchNormBackwardArgs {
  ConstView x;
  ConstView dy;
  View dx;
  const void* gamma = nullptr;
  const void* beta = nullptr;
  const void* saved_mean = nullptr;
  const void* saved_invstd = nullptr;
  void* dgamma = nullptr;
  void* dbeta = nullptr;
  bool relu = true;
  void check() const;
};

/// Evaluation: y = [relu](gamma*(x-running_mean)/sqrt(running_var+epsilon) + beta). y may be x.
struct BatchNormInferenceArgs {
  ConstView x;
  View y;
  const void* gamma = nullptr;
  const void* beta = nullptr;
  const void* running_mean = nullptr;
  const void* running_var = nullptr;
  double epsilon = 1e-5;
  bool relu = true;
  void check() const;
};

}  // namespace msd
