// SPDX-License-Identifier: MIT
#include "tests/kernels/calls/exits.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "tests/kernels/calls/classification.h"

namespace msd::calls {
namespace {

/// Where a class stands by falling value, equals by rising index; by index alone where there is a
/// NaN.
std::ptrdiff_t place_of(std::size_t label, const std::vector<double>& values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (std::none_of(values.begin(), values.end(), [](double v) { return std::isnan(v); })) {
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return values[a] > values[b]; });
  }
  return std::find(order.begin(), order.end(), label) - order.begin();
}

std::vector<double> softmax(const std::vector<double>& z) {
  double max = z[0], total = 0.0;
  for (const double v : z) max = std::isnan(v) || v > max ? v : max;
  for (const double v : z) total += std::exp(v - max);
  std::vector<double> p;
  for (const double v : z) p.push_back(std::exp(v - max) / total);
  return p;
}

}  // namespace

ExitCountsReference::ExitCountsReference(const ExitsShape& s,
                                         const std::vector<std::vector<double>>& z,
                                         const std::vector<double>& labels) {
  std::vector<std::vector<double>> ensemble(
      static_cast<std::size_t>(s.n), std::vector<double>(static_cast<std::size_t>(s.classes)));
  for (const std::vector<double>& of_exit : z) {
    double loss = 0.0;
    std::array<std::int64_t, 4> right = {};
    std::size_t sample = 0;
    for (const std::vector<double>& row : rows_of({s.n, s.classes}, of_exit)) {
      const std::vector<double> p = softmax(row);
      std::vector<double>& sum = ensemble[sample];
      for (std::size_t i = 0; i < p.size(); ++i) sum[i] += p[i];
      const auto label = static_cast<std::int64_t>(labels[sample++]);
      if (label < 0 || label >= s.classes) continue;
      const auto at = static_cast<std::size_t>(label);
      const double least = std::numeric_limits<float>::min();
      loss -= std::log(p[at] < least ? least : p[at]);
      const std::ptrdiff_t own = place_of(at, row), joint = place_of(at, sum);
      right[0] += own < 1, right[1] += own < 5;
      right[2] += joint < 1, right[3] += joint < 5;
    }
    losses.push_back(loss);
    counts.push_back(right);
  }
}

}  // namespace msd::calls
