// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "tests/kernels/calls/memory.h"

namespace msd::calls {

struct LinearShape {
  std::int64_t n, in, out;
  bool accumulate = false;  // backward, in dx
  Shape x() const { return {n, 1, 1, in}; }
  Shape y() const { return {n, 1, 1, out}; }
  std::string text() const { return message(n, " x ", in, " to ", out); }
};

std::vector<double> linear_y(const LinearShape& s, const std::vector<double>& x,
                             const std::vector<double>& weight, const std::vector<double>& bias);

struct LinearGradients {
  /// Adds to the dx it is given.
  LinearGradients(const LinearShape& s, const std::vector<double>& x,
                  const std::vector<double>& weight, const std::vector<double>& dy,
                  std::vector<double> old_dx);
  std::vector<double> dx, dw, dbias;
};

/// The operands of both ops.
template <typename Memory>
struct Linear {
  Linear(const LinearShape& s, const Gaps& g, Memory m) : shape(s), gaps(g), memory(m) {}
  explicit Linear(const LinearShape& s, Gap x_gap = {}, Memory m = {})
      : Linear(s, Gaps{x_gap, {x_gap.after, x_gap.before}, x_gap, {x_gap.after, x_gap.before}}, m) {
  }
  std::vector<double> expected() const {
    return linear_y(shape, x.doubles(), weight.doubles(), bias.doubles());
  }
  LinearShape shape;
  Gaps gaps;
  Memory memory;
  typename Memory::Rows x = memory.rows(shape.x(), gaps.x, {1}),
                        y = memory.rows(shape.y(), gaps.y, {}),
                        dy = memory.rows(shape.y(), gaps.dy, {4}),
                        dx = memory.rows(shape.x(), gaps.dx, {});
  typename Memory::Values weight = memory.flat(shape.out * shape.in, {2}),
                          dw = memory.flat(shape.out * shape.in, {}),
                          bias = memory.values(shape.out, {3}),
                          dbias = memory.values(shape.out, {});
};

template <typename Memory>
struct LinearForward : Linear<Memory> {
  using Linear<Memory>::Linear;
  MSD_CALL(linear_forward, this->y)
  LinearForwardArgs args() {
    return {this->x.view(), this->weight.data(), this->bias.data(), this->y.view()};
  }
};

template <typename Memory>
struct LinearBackward : Linear<Memory> {
  using Linear<Memory>::Linear;
  MSD_CALL(linear_backward, this->dx, this->dw, this->dbias)
  LinearBackwardArgs args() {
    return {this->x.view(),  this->dy.view(),    this->weight.data(),   this->dx.view(),
            this->dw.data(), this->dbias.data(), this->shape.accumulate};
  }
  void start() {
    if (this->shape.accumulate) this->dx.integers(6);
  }
};

}  // namespace msd::calls
