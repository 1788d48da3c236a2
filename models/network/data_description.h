// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <string>
#include <vector>

namespace msd {

/// What a network must know of its data, beside its weights.
struct DataDescription {
  std::string dataset;                                 // "cifar10"
  std::vector<std::string> class_names;                // [classes], may be empty
  std::array<float, 3> mean{}, std{1.0f, 1.0f, 1.0f};  // per channel, grey levels
};

}  // namespace msd
