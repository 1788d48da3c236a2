// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "tests/kernels/calls/memory.h"

namespace msd::calls {

struct MaxPoolShape {
  Shape x;
  PoolGeometry geometry;
  bool accumulate = false;  // backward
  Shape y() const { return {x.n, geometry.out_size(x.h), geometry.out_size(x.w), x.c}; }
  std::string text() const;
};
struct AvgPoolShape {
  Shape x;
  std::int64_t kernel_h, kernel_w;
  bool accumulate = false;  // backward
  Shape y() const { return {x.n, x.h / kernel_h, x.w / kernel_w, x.c}; }
  std::string text() const;
};

/// Of each element of y the indices of x in its window, in row-major order.
std::vector<std::vector<std::size_t>> windows_of(const MaxPoolShape& s);
std::vector<double> max_pool_y(const MaxPoolShape& s, const std::vector<double>& x);
/// dx and what is added to it.
std::vector<double> max_pool_dx(const MaxPoolShape& s, const std::vector<double>& x,
                                const std::vector<double>& dy, std::vector<double> dx);
std::vector<double> avg_pool_y(const AvgPoolShape& s, const std::vector<double>& x);

template <typename Memory>
struct MaxPoolForward {
  explicit MaxPoolForward(const MaxPoolShape& s, const Gaps& g = {}, Memory m = {},
                          const Content& c = {1})
      : shape(s), x(m.rows(s.x, g.x, c)), y(m.rows(s.y(), g.y, {})) {}
  MSD_CALL(max_pool_forward, y)
  MaxPoolForwardArgs args() { return {x.view(), y.view(), shape.geometry}; }
  MaxPoolShape shape;
  typename Memory::Rows x, y;
};

/// Small whole numbers make many ties, of which the first maximum takes the gradient.
template <typename Memory>
struct MaxPoolBackward {
  explicit MaxPoolBackward(const MaxPoolShape& s, const Gaps& g = {}, Memory m = {},
                           const Content& gradients = whole(2, -9, 9))
      : shape(s),
        old(s.accumulate ? gradients : Content{}),
        x(m.rows(s.x, g.x, whole(1, -3, 3))),
        dy(m.rows(s.y(), g.dy, gradients)),
        dx(m.rows(s.x, g.dx, old)) {}
  MSD_CALL(max_pool_backward, dx)
  MaxPoolBackwardArgs args() {
    return {x.view(), dy.view(), dx.view(), shape.geometry, shape.accumulate};
  }
  void start() { fill_again(dx, old); }
  MaxPoolShape shape;
  Content old;
  typename Memory::Rows x, dy, dx;
};

template <typename Memory>
struct AvgPoolForward {
  explicit AvgPoolForward(const AvgPoolShape& s, const Gaps& g = {}, Memory m = {})
      : shape(s), x(m.rows(s.x, g.x, {1})), y(m.rows(s.y(), g.y, {})) {}
  MSD_CALL(avg_pool_forward, y)
  AvgPoolForwardArgs args() { return {x.view(), y.view(), shape.kernel_h, shape.kernel_w}; }
  AvgPoolShape shape;
  typename Memory::Rows x, y;
};

template <typename Memory>
struct AvgPoolBackward {
  explicit AvgPoolBackward(const AvgPoolShape& s, const Gaps& g = {}, Memory m = {})
      : shape(s),
        old(s.accumulate ? Content{2} : Content{}),
        dy(m.rows(s.y(), g.dy, {1})),
        dx(m.rows(s.x, g.dx, old)) {}
  MSD_CALL(avg_pool_backward, dx)
  AvgPoolBackwardArgs args() {
    return {dy.view(), dx.view(), shape.kernel_h, shape.kernel_w, shape.accumulate};
  }
  void start() { fill_again(dx, old); }
  AvgPoolShape shape;
  Content old;
  typename Memory::Rows dy, dx;
};

}  // namespace msd::calls
