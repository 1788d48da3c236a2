// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "data/split.h"
#include "engine/files/pickle.h"

namespace msd {

/// The split of the public PyTorch implementation (its index.pth): `root` is a tensor of i64 or i32
/// with a permutation of all training images, of which the last `holdout` are held out.
/// holdout < 0: as many as that implementation takes, 5,000 of CIFAR's 50,000 and 50,000 of more
/// than a million. Throws FormatError where it is no permutation, and ConfigError where it is one
/// of another number of images, or nothing says how many are held out.
Split torch_split(const PickleValue& root, const Dataset& data, std::int64_t holdout);

}  // namespace msd
