// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "tests/kernels/calls/memory.h"

namespace msd::calls {

struct MaxPoolShape {
  Shape x;
  PoolGeometry geometry;
  Shape y() const { return {x.n, geometry.out_size(x.h), geometry.out_size(x.w), x.c}; }
  std::string text() const;
};
struct AvgPoolShape {
  Shape x;
  std::int64_t kernel_h, kernel_w;
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

struct PoolGaps {
  Gap x = {}, y = {}, dx = {};
};

template <typename Memory>
struct MaxPoolForward {
  explicit MaxPoolForward(const MaxPoolShape& s, const PoolGaps& gaps = {},
                          const Content& content = {1}, Memory memory = {})
      : shape(s), x(memory.rows(s.x, gaps.x, content)), y(memory.rows(s.y(), gaps.y, {})) {}
  static constexpr auto* op = &max_pool_forward;
  static constexpr const char* kOutputs[] = {"y"};
  MaxPoolForwardArgs args() { return {x.view(), y.view(), shape.geometry}; }
  auto outputs() { return std::tie(y); }
  MaxPoolShape shape;
  typename Memory::Rows x, y;
};

/// Small whole numbers make many ties, of which the first maximum takes the gradient.
template <typename Memory>
struct MaxPoolBackward {
  explicit MaxPoolBackward(const MaxPoolShape& s, const PoolGaps& gaps = {},
                           bool accumulates = false, const Content& gradients = whole(2, -9, 9),
                           Memory memory = {})
      : shape(s),
        accumulate(accumulates),
        old(accumulates ? gradients : Content{}),
        x(memory.rows(s.x, gaps.x, whole(1, -3, 3))),
        dy(memory.rows(s.y(), gaps.y, gradients)),
        dx(memory.rows(s.x, gaps.dx, old)) {}
  static constexpr auto* op = &max_pool_backward;
  static constexpr const char* kOutputs[] = {"dx"};
  MaxPoolBackwardArgs args() {
    return {x.view(), dy.view(), dx.view(), shape.geometry, accumulate};
  }
  auto outputs() { return std::tie(dx); }
  void start() { fill_again(dx, old); }
  MaxPoolShape shape;
  bool accumulate;
  Content old;
  typename Memory::Rows x, dy, dx;
};

template <typename Memory>
struct AvgPoolForward {
  explicit AvgPoolForward(const AvgPoolShape& s, const PoolGaps& gaps = {}, Memory memory = {})
      : shape(s), x(memory.rows(s.x, gaps.x, {1})), y(memory.rows(s.y(), gaps.y, {})) {}
  static constexpr auto* op = &avg_pool_forward;
  static constexpr const char* kOutputs[] = {"y"};
  AvgPoolForwardArgs args() { return {x.view(), y.view(), shape.kernel_h, shape.kernel_w}; }
  auto outputs() { return std::tie(y); }
  AvgPoolShape shape;
  typename Memory::Rows x, y;
};

template <typename Memory>
struct AvgPoolBackward {
  explicit AvgPoolBackward(const AvgPoolShape& s, const PoolGaps& gaps = {},
                           bool accumulates = false, Memory memory = {})
      : shape(s),
        accumulate(accumulates),
        dy(memory.rows(s.y(), gaps.y, {1})),
        dx(memory.rows(s.x, gaps.dx, accumulates ? kOld : Content{})) {}
  static constexpr auto* op = &avg_pool_backward;
  static constexpr const char* kOutputs[] = {"dx"};
  AvgPoolBackwardArgs args() {
    return {dy.view(), dx.view(), shape.kernel_h, shape.kernel_w, accumulate};
  }
  auto outputs() { return std::tie(dx); }
  void start() {
    if (accumulate) fill_again(dx, kOld);
  }
  static constexpr Content kOld = {2};
  AvgPoolShape shape;
  bool accumulate;
  typename Memory::Rows dy, dx;
};

}  // namespace msd::calls
