// SPDX-License-Identifier: MIT
#pragma once

#include "tests/kernels/calls/memory.h"

namespace msd::calls {

/// The numbers of an SGD step.
struct SgdRule {
  double lr = 0.1, momentum = 0.9, weight_decay = 1e-2;
  bool nesterov = true;
};

/// One step in double of the element's weight and velocity.
inline void sgd_step(const SgdRule& rule, double gradient, double& weight, double& velocity) {
  const double g = gradient + rule.weight_decay * weight;
  velocity = rule.momentum * velocity + g;
  weight -= rule.lr * (rule.nesterov ? g + rule.momentum * velocity : velocity);
}

template <typename Memory>
struct Sgd {
  explicit Sgd(std::int64_t elems, const SgdRule& numbers = {}, Memory memory = {})
      : count(elems),
        rule(numbers),
        weight(memory.flat(elems, {1})),
        gradient(memory.flat(elems, {2})),
        velocity(memory.flat(elems, {3})),
        lr(memory.template array<double>(1, {4, numbers.lr, numbers.lr})) {}
  MSD_CALL(sgd, weight, velocity)
  SgdArgs args() {
    return {.weight = weight.data(),
            .gradient = gradient.data(),
            .velocity = velocity.data(),
            .mask = mask,
            .count = count,
            .dtype = Memory::kValues,
            .lr = lr.data(),
            .momentum = rule.momentum,
            .weight_decay = rule.weight_decay,
            .nesterov = rule.nesterov};
  }
  void start() { weight.random(1), velocity.random(3), lr.fill(rule.lr); }
  std::int64_t count;
  SgdRule rule;
  typename Memory::Values weight, gradient, velocity;
  typename Memory::template Array<double> lr;
  const std::uint8_t* mask = nullptr;
};

template <typename Memory>
struct FiniteCheck {
  explicit FiniteCheck(std::int64_t elems, const Content& content = {1}, Memory memory = {})
      : count(elems),
        data(memory.flat(elems, content)),
        first_bad(memory.template array<std::int64_t>(1, {})) {}
  MSD_CALL(finite_check, first_bad)
  FiniteCheckArgs args() { return {data.data(), count, Memory::kValues, first_bad.data()}; }
  std::int64_t count;
  typename Memory::Values data;
  typename Memory::template Array<std::int64_t> first_bad;
};

}  // namespace msd::calls
