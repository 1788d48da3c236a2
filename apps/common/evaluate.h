// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "data/dataset.h"
#include "kernels/error.h"
#include "models/inference/evaluator.h"
#include "models/network/data_description.h"

namespace msd {

struct Evaluation {
  ExitRecords records;
  ExitCounts counts;
};

/// evaluate() was asked to stop.
class Stopped : public Error {
 public:
  Stopped() : Error("stopped while evaluating") {}
};

/// Runs every exit on images `indices` of `set`, without augmentation, normalised as `description`
/// says, with activations of that type; `batch` at once, 0: preferred_batch(). Throws ConfigError
/// where the images are not of the network's size, and Stopped between two batches where `stop` is
/// set.
Evaluation evaluate(Runtime& runtime, const Network& network, DType activations,
                    const ImageSet& set, const std::vector<std::int64_t>& indices,
                    const DataDescription& description, std::int64_t batch = 0,
                    const std::atomic<bool>* stop = nullptr);

/// 0, 1, ..., set.size() - 1.
std::vector<std::int64_t> all_images(const ImageSet& set);

/// What the checkpoint stores of a data set whose images are of the network's size already.
DataDescription data_description(const Dataset& data);

/// Throws ConfigError unless the network takes this data set's images and knows its classes.
void require_fit(const MsdnetConfig& config, const Dataset& data);

}  // namespace msd
