// SPDX-License-Identifier: MIT
#include "tests/kernels/calls/linear.h"

#include <utility>

namespace msd::calls {

std::vector<double> linear_y(const LinearShape& s, const std::vector<double>& x,
                             const std::vector<double>& weight, const std::vector<double>& bias) {
  std::vector<double> y;
  for (std::int64_t i = 0; i < s.n; ++i) {
    for (std::int64_t o = 0; o < s.out; ++o) {
      double sum = bias[static_cast<std::size_t>(o)];
      for (std::int64_t c = 0; c < s.in; ++c) {
        sum += x[static_cast<std::size_t>(i * s.in + c)] *
               weight[static_cast<std::size_t>(o * s.in + c)];
      }
      y.push_back(sum);
    }
  }
  return y;
}

LinearGradients::LinearGradients(const LinearShape& s, const std::vector<double>& x,
                                 const std::vector<double>& weight, const std::vector<double>& dy,
                                 std::vector<double> old_dx)
    : dx(std::move(old_dx)), dw(weight.size()), dbias(static_cast<std::size_t>(s.out)) {
  const auto in = static_cast<std::size_t>(s.in), out = static_cast<std::size_t>(s.out);
  for (std::size_t i = 0; i < dy.size(); ++i) {
    const std::size_t row = i / out, o = i % out;
    dbias[o] += dy[i];
    for (std::size_t c = 0; c < in; ++c) {
      dx[row * in + c] += dy[i] * weight[o * in + c];
      dw[o * in + c] += dy[i] * x[row * in + c];
    }
  }
}

}  // namespace msd::calls
