// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "tests/kernels/calls/memory.h"

namespace msd::calls {

inline constexpr double kBatchnormEpsilon = 1e-5;

/// Everything batch normalisation computes from packed values, in double.
struct BatchnormReference {
  BatchnormReference(const std::vector<double>& x, const std::vector<double>& gamma,
                     const std::vector<double>& beta, bool relu);
  /// How much rounding in x and the mean is magnified, at most.
  double magnification() const;
  /// The running statistics after a step from these.
  std::vector<double> running_mean(const std::vector<double>& old) const;
  std::vector<double> running_var(const std::vector<double>& old) const;

  std::size_t rows;
  std::vector<double> mean, variance, invstd, value, y;  // value: y before ReLU
};

/// The formulas of the contract in double.
struct BatchnormGradients {
  BatchnormGradients(const BatchnormReference& r, const std::vector<double>& x,
                     const std::vector<double>& dy, const std::vector<double>& gamma, bool relu);
  std::vector<double> dx, dgamma, dbeta;
};

/// y by the running statistics.
std::vector<double> batchnorm_inference_y(std::vector<double> x, const std::vector<double>& gamma,
                                          const std::vector<double>& beta,
                                          const std::vector<double>& mean,
                                          const std::vector<double>& variance, bool relu);

/// The operands of all three ops.
template <typename Memory>
struct Batchnorm {
  using Rows = typename Memory::Rows;
  using Values = typename Memory::Values;

  Batchnorm(const Shape& s, const Gaps& g, Memory m) : shape(s), gaps(g), memory(m) {}
  explicit Batchnorm(const Shape& s, Gap x_gap = {}, Memory m = {})
      : Batchnorm(s,
                  Gaps{x_gap, {x_gap.after, x_gap.before}, {x_gap.before + 1, x_gap.after}, x_gap},
                  m) {}

  BatchNormForwardArgs forward() {
    return {.x = x.view(),
            .y = y.view(),
            .gamma = gamma.data(),
            .beta = beta.data(),
            .running_mean = running_mean.data(),
            .running_var = running_var.data(),
            .saved_mean = saved_mean.data(),
            .saved_invstd = saved_invstd.data(),
            .epsilon = kBatchnormEpsilon,
            .relu = relu,
            .statistics = statistics};
  }
  BatchNormBackwardArgs backward() {
    return {.x = x.view(),
            .dy = dy.view(),
            .dx = dx.view(),
            .gamma = gamma.data(),
            .beta = beta.data(),
            .saved_mean = saved_mean.data(),
            .saved_invstd = saved_invstd.data(),
            .dgamma = dgamma.data(),
            .dbeta = dbeta.data(),
            .relu = relu};
  }
  BatchNormInferenceArgs inference() {
    return {.x = x.view(),
            .y = y.view(),
            .gamma = gamma.data(),
            .beta = beta.data(),
            .running_mean = running_mean.data(),
            .running_var = running_var.data(),
            .epsilon = kBatchnormEpsilon,
            .relu = relu};
  }
  void reset_running() { running_mean.random(15), running_var.random(16, 0.5, 2.0); }
  BatchnormReference reference() const {
    return {x.doubles(), gamma.doubles(), beta.doubles(), relu};
  }
  std::vector<double> inferred() const {
    return batchnorm_inference_y(x.doubles(), gamma.doubles(), beta.doubles(),
                                 running_mean.doubles(), running_var.doubles(), relu);
  }

  Shape shape;
  Gaps gaps;
  Memory memory;
  bool relu = true;
  const BatchStatistics* statistics = nullptr;
  Rows x = memory.rows(shape, gaps.x, {11, -1.0, 2.0}), y = memory.rows(shape, gaps.y, {});
  Rows dy = memory.rows(shape, gaps.dy, {12}), dx = memory.rows(shape, gaps.dx, {});
  Values gamma = memory.values(shape.c, {13, 0.5, 1.5});
  Values beta = memory.values(shape.c, {14, -0.5, 0.5});
  Values running_mean = memory.values(shape.c, {15});
  Values running_var = memory.values(shape.c, {16, 0.5, 2.0});
  Values saved_mean = memory.values(shape.c, {17});
  Values saved_invstd = memory.values(shape.c, {18, 0.5, 2.0});
  Values dgamma = memory.values(shape.c, {}), dbeta = memory.values(shape.c, {});
};

template <typename Memory>
struct BatchnormForward : Batchnorm<Memory> {
  using Batchnorm<Memory>::Batchnorm;
  MSD_CALL(batchnorm_forward, this->y, this->saved_mean, this->saved_invstd, this->running_mean,
           this->running_var)
  auto args() { return this->forward(); }
  void start() { this->reset_running(); }
};

template <typename Memory>
struct BatchnormBackward : Batchnorm<Memory> {
  using Batchnorm<Memory>::Batchnorm;
  MSD_CALL(batchnorm_backward, this->dx, this->dgamma, this->dbeta)
  auto args() { return this->backward(); }
};

template <typename Memory>
struct BatchnormInference : Batchnorm<Memory> {
  using Batchnorm<Memory>::Batchnorm;
  MSD_CALL(batchnorm_inference, this->y)
  auto args() { return this->inference(); }
};

}  // namespace msd::calls
