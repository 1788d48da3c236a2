// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "tests/kernels/calls/memory.h"

namespace msd::calls {

struct LinearShape {
  std::int64_t n, in, out;
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

struct LinearGaps {
  Gap x, y, dy, dx;
};

/// The operands of both ops.
template <typename Memory>
struct Linear {
  Linear(const LinearShape& s, const LinearGaps& gaps, Memory memory)
      : x(memory.rows({s.n, 1, 1, s.in}, gaps.x, {1})),
        y(memory.rows({s.n, 1, 1, s.out}, gaps.y, {})),
        dy(memory.rows({s.n, 1, 1, s.out}, gaps.dy, {4})),
        dx(memory.rows({s.n, 1, 1, s.in}, gaps.dx, {})),
        weight(memory.flat(s.out * s.in, {2})),
        dw(memory.flat(s.out * s.in, {})),
        bias(memory.values(s.out, {3})),
        dbias(memory.values(s.out, {})) {}
  explicit Linear(const LinearShape& s, Gap gap = {}, Memory memory = {})
      : Linear(s, LinearGaps{gap, {gap.after, gap.before}, gap, {gap.after, gap.before}}, memory) {}
  typename Memory::Rows x, y, dy, dx;
  typename Memory::Values weight, dw, bias, dbias;
};

template <typename Memory>
struct LinearForward : Linear<Memory> {
  using Linear<Memory>::Linear;
  static constexpr auto* op = &linear_forward;
  static constexpr const char* kOutputs[] = {"y"};
  LinearForwardArgs args() {
    return {this->x.view(), this->weight.data(), this->bias.data(), this->y.view()};
  }
  auto outputs() { return std::tie(this->y); }
};

template <typename Memory>
struct LinearBackward : Linear<Memory> {
  using Linear<Memory>::Linear;
  static constexpr auto* op = &linear_backward;
  static constexpr const char* kOutputs[] = {"dx", "dw", "dbias"};
  LinearBackwardArgs args() {
    return {this->x.view(),  this->dy.view(),    this->weight.data(), this->dx.view(),
            this->dw.data(), this->dbias.data(), accumulate};
  }
  auto outputs() { return std::tie(this->dx, this->dw, this->dbias); }
  void start() {
    if (accumulate) this->dx.integers(6);
  }
  bool accumulate = false;
};

}  // namespace msd::calls
