// SPDX-License-Identifier: MIT
#include "tests/kernels/calls/batchnorm.h"

#include <algorithm>
#include <cmath>

namespace msd::calls {

BatchnormReference::BatchnormReference(const std::vector<double>& x,
                                       const std::vector<double>& gamma,
                                       const std::vector<double>& beta, bool relu)
    : rows(x.size() / gamma.size()),
      mean(gamma.size()),
      variance(gamma.size()),
      invstd(gamma.size()),
      value(x.size()),
      y(x.size()) {
  const std::size_t c = gamma.size();
  const auto count = static_cast<long double>(rows);
  std::vector<long double> sum(c), squares(c);  // wider: double results are held against them
  for (std::size_t i = 0; i < x.size(); ++i) sum[i % c] += x[i];
  for (std::size_t i = 0; i < x.size(); ++i) {
    const long double d = x[i] - sum[i % c] / count;
    squares[i % c] += d * d;
  }
  for (std::size_t i = 0; i < c; ++i) {
    mean[i] = static_cast<double>(sum[i] / count);
    variance[i] = static_cast<double>(squares[i] / count);
    invstd[i] = 1.0 / std::sqrt(variance[i] + kBatchnormEpsilon);
  }
  for (std::size_t i = 0; i < x.size(); ++i) {
    value[i] = gamma[i % c] * (x[i] - mean[i % c]) * invstd[i % c] + beta[i % c];
    y[i] = relu && value[i] < 0.0 ? 0.0 : value[i];
  }
}

double BatchnormReference::magnification() const {
  return 1.0 + (invstd.empty() ? 0.0 : *std::max_element(invstd.begin(), invstd.end()));
}

std::vector<double> BatchnormReference::running_mean(const std::vector<double>& old) const {
  std::vector<double> running;
  for (std::size_t i = 0; i < mean.size(); ++i) running.push_back(0.9 * old[i] + 0.1 * mean[i]);
  return running;
}

std::vector<double> BatchnormReference::running_var(const std::vector<double>& old) const {
  const auto n = static_cast<double>(rows);
  std::vector<double> running;
  for (std::size_t i = 0; i < variance.size(); ++i) {
    running.push_back(0.9 * old[i] + 0.1 * variance[i] * n / (n - 1.0));
  }
  return running;
}

BatchnormGradients::BatchnormGradients(const BatchnormReference& r, const std::vector<double>& x,
                                       const std::vector<double>& dy,
                                       const std::vector<double>& gamma, bool relu)
    : dx(x.size()), dgamma(gamma.size()), dbeta(gamma.size()) {
  const std::size_t c = gamma.size();
  const auto rows = static_cast<double>(r.rows);
  std::vector<double> g(x.size()), xhat(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    g[i] = relu && !(r.value[i] > 0.0) ? 0.0 : dy[i];
    xhat[i] = (x[i] - r.mean[i % c]) * r.invstd[i % c];
    dbeta[i % c] += g[i];
    dgamma[i % c] += g[i] * xhat[i];
  }
  for (std::size_t i = 0; i < x.size(); ++i) {
    dx[i] = gamma[i % c] * r.invstd[i % c] *
            (g[i] - dbeta[i % c] / rows - xhat[i] * dgamma[i % c] / rows);
  }
}

std::vector<double> batchnorm_inference_y(std::vector<double> x, const std::vector<double>& gamma,
                                          const std::vector<double>& beta,
                                          const std::vector<double>& mean,
                                          const std::vector<double>& variance, bool relu) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t c = i % gamma.size();
    x[i] = gamma[c] * (x[i] - mean[c]) / std::sqrt(variance[c] + kBatchnormEpsilon) + beta[c];
    if (relu && x[i] < 0.0) x[i] = 0.0;
  }
  return x;
}

}  // namespace msd::calls
