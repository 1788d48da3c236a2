// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "models/network/preprocessing.h"

namespace msd {

/// What a network must know of its data, beside its weights.
struct DataDescription {
  std::string dataset;                   // "cifar10"; empty where nobody said
  std::vector<std::string> class_names;  // [classes], may be empty
  Preprocessing preprocessing;
};

}  // namespace msd
