// SPDX-License-Identifier: MIT
#include "tests/kernels/calls/convolution.h"

#include <algorithm>

namespace msd::calls {
namespace {

// Calls visit(y index, x index, weight index) for every product of the convolution.
template <typename Visit>
void for_each_product(const ConvShape& s, const Visit& visit) {
  const ConvGeometry& g = s.g;
  const Shape out = s.y();
  std::int64_t y = 0;
  for (std::int64_t n = 0; n < s.n; ++n) {
    for (std::int64_t oy = 0; oy < out.h; ++oy) {
      for (std::int64_t ox = 0; ox < out.w; ++ox) {
        for (std::int64_t co = 0; co < g.cout; ++co, ++y) {
          for (std::int64_t kh = 0; kh < g.kernel; ++kh) {
            const std::int64_t iy = oy * g.stride + kh - g.padding;
            if (iy < 0 || iy >= s.h) continue;
            for (std::int64_t kw = 0; kw < g.kernel; ++kw) {
              const std::int64_t ix = ox * g.stride + kw - g.padding;
              if (ix < 0 || ix >= s.w) continue;
              const std::int64_t x = ((n * s.h + iy) * s.w + ix) * g.cin;
              const std::int64_t w = ((co * g.kernel + kh) * g.kernel + kw) * g.cin;
              for (std::int64_t ci = 0; ci < g.cin; ++ci) {
                visit(static_cast<std::size_t>(y), static_cast<std::size_t>(x + ci),
                      static_cast<std::size_t>(w + ci));
              }
            }
          }
        }
      }
    }
  }
}

}  // namespace

std::string ConvShape::text() const {
  return message("x ", n, "x", h, "x", w, ", ", g.cin, " to ", g.cout, ", kernel ", g.kernel,
                 ", stride ", g.stride, ", padding ", g.padding, ": ");
}

std::vector<double> convolution_y(const ConvShape& s, const std::vector<double>& x,
                                  const std::vector<double>& weight,
                                  const std::vector<double>& bias) {
  std::vector<double> y(static_cast<std::size_t>(s.y().elems()));
  for (std::size_t i = 0; i < y.size() && s.bias; ++i) y[i] = bias[i % bias.size()];
  for_each_product(
      s, [&](std::size_t yi, std::size_t xi, std::size_t wi) { y[yi] += x[xi] * weight[wi]; });
  for (double& value : y) value = s.relu ? std::max(value, 0.0) : value;
  return y;
}

std::vector<double> convolution_dx(const ConvShape& s, const std::vector<double>& dy,
                                   const std::vector<double>& weight) {
  std::vector<double> dx(static_cast<std::size_t>(s.x().elems()));
  for_each_product(
      s, [&](std::size_t yi, std::size_t xi, std::size_t wi) { dx[xi] += dy[yi] * weight[wi]; });
  return dx;
}

std::vector<double> convolution_dw(const ConvShape& s, const std::vector<double>& x,
                                   const std::vector<double>& dy) {
  std::vector<double> dw(static_cast<std::size_t>(s.g.weight_elems()));
  for_each_product(
      s, [&](std::size_t yi, std::size_t xi, std::size_t wi) { dw[wi] += dy[yi] * x[xi]; });
  return dw;
}

std::vector<double> convolution_dbias(const ConvShape& s, const std::vector<double>& dy) {
  std::vector<double> dbias(static_cast<std::size_t>(s.g.cout));
  for (std::size_t i = 0; i < dy.size(); ++i) dbias[i % dbias.size()] += dy[i];
  return dbias;
}

}  // namespace msd::calls
