// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "engine/optimizer.h"
#include "engine/replay.h"
#include "models/exits/device_exit_counter.h"
#include "models/training/training_graph.h"

namespace msd {

/// All that one batch does to a network: forward, backward, the optimiser's step, and counting what
/// the exits got right. On CUDA one graph, replayed; nothing waits for it.
class TrainingStep {
 public:
  /// Borrows all but the weights; see TrainingGraph. `sgd` is of the network's parameters.
  TrainingStep(Runtime& runtime, Network& network, std::int64_t batch,
               const std::vector<double>& exit_weights, DType activations, Sgd& sgd,
               DeviceExitCounter& counter);
  TrainingStep(const TrainingStep&) = delete;
  TrainingStep& operator=(const TrainingStep&) = delete;

  /// Its input and labels are to be filled before run().
  TrainingGraph& graph() { return graph_; }
  const TrainingGraph& graph() const { return graph_; }
  void run();

 private:
  TrainingGraph graph_;
  DeviceExitCounter& counter_;
  std::vector<ConstView> logits_;
  Replay replay_;
};

}  // namespace msd
