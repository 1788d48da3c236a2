// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "models/network/architecture.h"

namespace msd {

/// A tensor of the state dictionary, under PyTorch's name and in its shape.
struct StateEntry {
  enum class Kind : std::uint8_t {
    conv_parameter,   // [cout][cin][kh][kw]
    plain_parameter,  // linear weights, biases, batch norm's gamma and beta
    statistic,        // [channels], f32 or f64
    counter,          // one int64, shape {}
  };
  /// What its operation uses it for. gamma to batches_tracked are the batch norm's.
  enum class Role : std::uint8_t {
    weight,
    bias,
    gamma,
    beta,
    running_mean,
    running_var,
    batches_tracked,
  };

  std::string name;
  std::vector<std::int64_t> shape;
  Kind kind = Kind::plain_parameter;
  Role role = Role::weight;
};

/// The shapes of a file's tensors by PyTorch's names, without DataParallel's "module.".
using StateShapes = std::map<std::string, std::vector<std::int64_t>>;

/// The tensors of one operation; none for pooling.
std::vector<StateEntry> state_layout(const Operation& operation);

/// Every tensor of a network's state dictionary, in the order of its operations.
std::vector<StateEntry> state_layout(const Architecture& architecture);

}  // namespace msd
