// SPDX-License-Identifier: MIT
#include "tests/kernels/calls/classification.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace msd::calls {

SoftmaxRow::SoftmaxRow(const std::vector<double>& z) : p(z.size()), order(z.size()) {
  const double max = *std::max_element(z.begin(), z.end());
  double sum = 0.0;
  for (const double v : z) sum += std::exp(v - max);
  lse = max + std::log(sum);
  entropy = 0.0;
  for (std::size_t i = 0; i < z.size(); ++i) {
    p[i] = std::exp(z[i] - lse);
    if (p[i] > 0.0) entropy -= p[i] * (z[i] - lse);
  }
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return z[static_cast<std::size_t>(a)] > z[static_cast<std::size_t>(b)];
  });
}

std::vector<std::vector<double>> rows_of(const LogitsShape& s, const std::vector<double>& z) {
  std::vector<std::vector<double>> rows;
  for (std::int64_t i = 0; i < s.n; ++i) {
    const auto begin = z.begin() + i * s.classes;
    rows.emplace_back(begin, begin + s.classes);
  }
  return rows;
}

double mean_cross_entropy(const LogitsShape& s, const std::vector<double>& z,
                          const std::vector<double>& labels) {
  double sum = 0.0;
  std::size_t i = 0;
  for (const std::vector<double>& row : rows_of(s, z)) {
    sum += SoftmaxRow(row).lse - row[static_cast<std::size_t>(labels[i++])];
  }
  return sum / static_cast<double>(s.n);
}

std::vector<double> cross_entropy_gradient(const LogitsShape& s, const std::vector<double>& z,
                                           const std::vector<double>& labels, double weight) {
  std::vector<double> gradient;
  std::size_t i = 0;
  for (const std::vector<double>& of_row : rows_of(s, z)) {
    SoftmaxRow row(of_row);
    row.p[static_cast<std::size_t>(labels[i++])] -= 1.0;
    for (const double g : row.p) gradient.push_back(weight / static_cast<double>(s.n) * g);
  }
  return gradient;
}

Confidences::Confidences(const LogitsShape& s, const std::vector<double>& z) {
  for (const std::vector<double>& of_row : rows_of(s, z)) {
    const SoftmaxRow row(of_row);
    probabilities.insert(probabilities.end(), row.p.begin(), row.p.end());
    const auto probability = [&](std::size_t k) {
      return k < row.order.size() ? row.p[static_cast<std::size_t>(row.order[k])] : 0.0;
    };
    max.push_back(probability(0));
    second.push_back(probability(1));
    entropy.push_back(row.entropy);
    argmax.push_back(row.order[0]);
    for (std::size_t k = 0; k < 5; ++k) top5.push_back(k < row.order.size() ? row.order[k] : -1);
  }
}

}  // namespace msd::calls
