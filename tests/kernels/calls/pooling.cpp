// SPDX-License-Identifier: MIT
#include "tests/kernels/calls/pooling.h"

namespace msd::calls {
namespace {

std::size_t first_maximum(const std::vector<double>& x, const std::vector<std::size_t>& window) {
  std::size_t best = window[0];
  for (const std::size_t i : window) {
    if (x[i] > x[best]) best = i;
  }
  return best;
}

}  // namespace

std::string MaxPoolShape::text() const {
  return message(x.text(), " kernel ", geometry.kernel, " stride ", geometry.stride, " padding ",
                 geometry.padding);
}
std::string AvgPoolShape::text() const {
  return message(x.text(), " window ", kernel_h, "x", kernel_w);
}

std::vector<std::vector<std::size_t>> windows_of(const MaxPoolShape& s) {
  const PoolGeometry& g = s.geometry;
  const Shape out = s.y();
  std::vector<std::vector<std::size_t>> windows;
  for (std::int64_t i = 0; i < out.elems(); ++i) {
    const std::int64_t c = i % out.c, ox = i / out.c % out.w, oy = i / out.c / out.w % out.h;
    const std::int64_t n = i / out.c / out.w / out.h;
    std::vector<std::size_t>& window = windows.emplace_back();
    for (std::int64_t k = 0; k < g.kernel * g.kernel; ++k) {
      const std::int64_t y = oy * g.stride - g.padding + k / g.kernel;
      const std::int64_t x = ox * g.stride - g.padding + k % g.kernel;
      if (y < 0 || y >= s.x.h || x < 0 || x >= s.x.w) continue;
      window.push_back(static_cast<std::size_t>(((n * s.x.h + y) * s.x.w + x) * s.x.c + c));
    }
  }
  return windows;
}

std::vector<double> max_pool_y(const MaxPoolShape& s, const std::vector<double>& x) {
  std::vector<double> y;
  for (const auto& window : windows_of(s)) y.push_back(x[first_maximum(x, window)]);
  return y;
}

std::vector<double> max_pool_dx(const MaxPoolShape& s, const std::vector<double>& x,
                                const std::vector<double>& dy, std::vector<double> dx) {
  std::size_t out = 0;
  for (const auto& window : windows_of(s)) dx[first_maximum(x, window)] += dy[out++];
  return dx;
}

std::vector<double> avg_pool_y(const AvgPoolShape& s, const std::vector<double>& x) {
  const Shape out = s.y();
  std::vector<double> y;
  for (std::int64_t i = 0; i < out.elems(); ++i) {
    const std::int64_t c = i % out.c, ox = i / out.c % out.w, oy = i / out.c / out.w % out.h;
    const std::int64_t n = i / out.c / out.w / out.h;
    double sum = 0.0;
    for (std::int64_t k = 0; k < s.kernel_h * s.kernel_w; ++k) {
      const std::int64_t row = oy * s.kernel_h + k / s.kernel_w;
      const std::int64_t column = ox * s.kernel_w + k % s.kernel_w;
      sum += x[static_cast<std::size_t>(((n * s.x.h + row) * s.x.w + column) * s.x.c + c)];
    }
    y.push_back(sum / static_cast<double>(s.kernel_h * s.kernel_w));
  }
  return y;
}

}  // namespace msd::calls
