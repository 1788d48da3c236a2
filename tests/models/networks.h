// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "engine/optimizer.h"
#include "engine/runtime.h"
#include "models/network/network.h"
#include "models/training/training_graph.h"
#include "tests/models/fixtures.h"

namespace msd::test {

/// Parameters and statistics as after some training: nothing is 0 or 1. The same bits for a seed.
void randomize(Network& network, std::uint64_t seed);

/// A network with these weights.
Network load_network(const MsdnetConfig& config, const Tensors& state, Allocator& allocator,
                     DType dtype);

/// `images` normalised images, [n][3][size][size].
std::vector<double> random_images(std::int64_t images, std::int64_t size, std::uint64_t seed);

/// A fixed batch of training data.
struct Batch {
  std::vector<double> images;  // [n][3][size][size]
  std::vector<std::int32_t> labels;
  std::int64_t size() const { return static_cast<std::int64_t>(labels.size()); }
};

Batch random_batch(const MsdnetConfig& config, std::int64_t size, std::uint64_t seed);

/// Puts a batch into a graph's input and labels.
void put_batch(TrainingGraph& graph, const Batch& batch);

/// Trains `steps` steps on one batch, every exit weighted 1.
void train(Runtime& runtime, Network& network, const Batch& batch, int steps, double lr,
           SgdOptions options = {});

/// The network's parameters, statistics and counters.
Tensors state_of(const Network& network);

}  // namespace msd::test
