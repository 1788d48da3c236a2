// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace msd {

enum class HoldoutMode { random, last };

/// The training set in two: what the network learns from and what thresholds are set on. Together
/// they are 0 .. train.size() - 1, each once; both ascend.
struct Split {
  std::vector<std::int64_t> train, holdout;
};

/// Holds out `holdout` images of data.train: chosen at random by `seed`, or the last ones by
/// position. 0 holds out none. Throws ConfigError where holdout < 0 or nothing is left to train on.
Split make_split(const Dataset& data, std::int64_t holdout, HoldoutMode mode, std::uint64_t seed);

/// Writes the split as JSON with the name, size and fingerprint of the data set it belongs to; the
/// file appears whole or not at all. Throws IoError.
void save_split(const std::string& path, const Dataset& data, const Split& split);

/// Reads what save_split wrote, or the split of another implementation, told apart by its bytes:
/// PyTorch's index.pth (data/torch_split.h, which says what `holdout` means) or a list that
/// Torch7's generated (data/torch7_split.h). Throws IoError, FormatError for a file that is no such
/// split, and ConfigError naming both sets where it belongs to other data than `data`.
Split load_split(const std::string& path, const Dataset& data, std::int64_t holdout = -1);

}  // namespace msd
