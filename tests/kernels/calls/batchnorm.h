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

struct BatchnormGaps {
  Gap x, y, dy, dx;
};

/// The operands of all three ops.
template <typename Memory>
struct Batchnorm {
  using Rows = typename Memory::Rows;
  using Values = typename Memory::Values;

  Batchnorm(const Shape& s, const BatchnormGaps& gaps, Memory memory)
      : x(memory.rows(s, gaps.x, {11, -1.0, 2.0})),
        y(memory.rows(s, gaps.y, {})),
        dy(memory.rows(s, gaps.dy, {12})),
        dx(memory.rows(s, gaps.dx, {})),
        gamma(memory.values(s.c, {13, 0.5, 1.5})),
        beta(memory.values(s.c, {14, -0.5, 0.5})),
        running_mean(memory.values(s.c, {15})),
        running_var(memory.values(s.c, {16, 0.5, 2.0})),
        saved_mean(memory.values(s.c, {17})),
        saved_invstd(memory.values(s.c, {18, 0.5, 2.0})),
        dgamma(memory.values(s.c, {})),
        dbeta(memory.values(s.c, {})) {}
  explicit Batchnorm(const Shape& s, Gap gap = {}, Memory memory = {})
      : Batchnorm(s, BatchnormGaps{gap, {gap.after, gap.before}, {gap.before + 1, gap.after}, gap},
                  memory) {}

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

  bool relu = true;
  const BatchStatistics* statistics = nullptr;
  Rows x, y, dy, dx;
  Values gamma, beta, running_mean, running_var, saved_mean, saved_invstd, dgamma, dbeta;
};

template <typename Memory>
struct BatchnormForward : Batchnorm<Memory> {
  using Batchnorm<Memory>::Batchnorm;
  static constexpr auto* op = &batchnorm_forward;
  static constexpr const char* kOutputs[] = {"y", "saved_mean", "saved_invstd", "running_mean",
                                             "running_var"};
  auto args() { return this->forward(); }
  auto outputs() {
    return std::tie(this->y, this->saved_mean, this->saved_invstd, this->running_mean,
                    this->running_var);
  }
  void start() { this->reset_running(); }
};

template <typename Memory>
struct BatchnormBackward : Batchnorm<Memory> {
  using Batchnorm<Memory>::Batchnorm;
  static constexpr auto* op = &batchnorm_backward;
  static constexpr const char* kOutputs[] = {"dx", "dgamma", "dbeta"};
  auto args() { return this->backward(); }
  auto outputs() { return std::tie(this->dx, this->dgamma, this->dbeta); }
};

template <typename Memory>
struct BatchnormInference : Batchnorm<Memory> {
  using Batchnorm<Memory>::Batchnorm;
  static constexpr auto* op = &batchnorm_inference;
  static constexpr const char* kOutputs[] = {"y"};
  auto args() { return this->inference(); }
  auto outputs() { return std::tie(this->y); }
  std::vector<double> expected() const;
};

/// y by the running statistics.
std::vector<double> batchnorm_inference_y(std::vector<double> x, const std::vector<double>& gamma,
                                          const std::vector<double>& beta,
                                          const std::vector<double>& mean,
                                          const std::vector<double>& variance, bool relu);

template <typename Memory>
std::vector<double> BatchnormInference<Memory>::expected() const {
  return batchnorm_inference_y(this->x.doubles(), this->gamma.doubles(), this->beta.doubles(),
                               this->running_mean.doubles(), this->running_var.doubles(),
                               this->relu);
}

}  // namespace msd::calls
