// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "models/network/architecture.h"

namespace msd {

/// Mul-adds of one image: convolutions and linear layers only.
std::int64_t mul_adds(const Architecture& net, const Operation& op);

/// The convention of the public op counters for this network: conv mul-adds (bias not counted), one
/// for each ReLU input element, kernel*kernel for each pooling output, weights and bias for linear.
std::int64_t ops(const Architecture& net, const Operation& op);

/// Trainable parameters.
std::int64_t parameters(const Operation& op);

/// Cost of leaving at an exit, one image, everything before it included.
struct ExitCost {
  std::int64_t ops = 0;               // plain: all scales of every layer so far
  std::int64_t mul_adds = 0;          // plain
  std::int64_t ops_lazy = 0;          // only what this exit and the earlier ones depend on
  std::int64_t mul_adds_lazy = 0;     // what early-exit inference executes
  std::int64_t mul_adds_direct = 0;   // only what this exit depends on: no earlier classifier
  std::int64_t params = 0;            // plain, earlier classifiers included
  std::int64_t activation_elems = 0;  // values written so far, plain: what training keeps
};

std::vector<ExitCost> exit_costs(const Architecture& net);

}  // namespace msd
