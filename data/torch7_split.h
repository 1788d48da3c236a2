// SPDX-License-Identifier: MIT
#pragma once

#include "data/split.h"
#include "engine/files/torch7_file.h"

namespace msd {

/// The split of the Torch7 implementation (gen/DATASET_withvalid.t7, made with -validset true): its
/// part "val" is held out. Images of a folder are found by class and file name, CIFAR's by their
/// bytes and labels; which of several equal images is held out is of no consequence. Throws
/// FormatError where `root` is no such list, ConfigError naming the first image that it or `data`
/// lacks.
Split torch7_split(const Torch7Value& root, const Dataset& data);

}  // namespace msd
