// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "engine/tape.h"
#include "models/network/network.h"

namespace msd {

/// The fewest images that batch norm can be trained with: 2 where a map is 1x1, else 1.
std::int64_t smallest_batch(const Architecture& net);

/// A network's forward and backward pass over one batch size, on a tape. Several graphs (a whole
/// batch, a last short one) may share a network.
class TrainingGraph {
 public:
  /// Borrows runtime and network. exit_weights: one a exit; the loss is their weighted sum of mean
  /// cross-entropies. batch: at least 1 and smallest_batch() (ConfigError otherwise). activations:
  /// the type of the network's parameters, or bf16 for mixed precision on CUDA.
  TrainingGraph(Runtime& runtime, Network& network, std::int64_t batch,
                const std::vector<double>& exit_weights, DType activations);
  TrainingGraph(Runtime& runtime, Network& network, std::int64_t batch,
                const std::vector<double>& exit_weights)
      : TrainingGraph(runtime, network, batch, exit_weights, network.dtype()) {}

  std::int64_t batch() const { return batch_; }
  /// To fill before run(), in the runtime's memory: the normalised images [batch,size,size,3] ...
  View input() const { return tape_.value(input_); }
  /// ... and their labels, [batch].
  std::int32_t* labels() { return reinterpret_cast<std::int32_t*>(labels_and_losses_.data()); }
  /// Fills both from the host. images: f32 or f64. Throws ShapeError naming a label out of range.
  void set_batch(const ConstView& images, const std::int32_t* labels);

  /// Forward and backward: sets losses, logits, the network's gradients (overwritten), and moves
  /// the running statistics. Allocates nothing.
  void run();
  /// The ops of run(), the same calls every time, without counting the batch: for a Replay, whose
  /// every run is followed by count_batch().
  void run_ops(const Tape::GradientReady& ready = {});
  /// Counts a batch in the network's num_batches_tracked.
  void count_batch();

  std::int64_t exits() const { return static_cast<std::int64_t>(logits_.size()); }
  /// Exit's logits of the last run, [batch,1,1,classes], in the runtime's memory.
  View logits(std::int64_t exit) const;
  /// The exits' mean cross-entropies of the last run, unweighted. Waits for it.
  std::vector<double> losses() const;
  double loss(std::int64_t exit) const { return losses().at(static_cast<std::size_t>(exit)); }
  /// Weighted sum over the exits.
  double loss() const;
  /// Memory taken from the runtime.
  std::int64_t arena_bytes() const { return tape_.arena_bytes() + labels_and_losses_.size_bytes(); }

 private:
  using Operations = std::vector<std::size_t>;
  void record(const Operations& group);
  void record_convolutions(const Operations& group);
  Variable variable(const Feature& feature) const;

  void* losses_data() const;

  Runtime& runtime_;
  Network& network_;
  std::int64_t batch_;
  std::vector<double> exit_weights_;
  Tape tape_;
  std::vector<Variable> buffers_;  // one a feature buffer of the architecture
  Variable input_;
  std::vector<Variable> logits_;
  Buffer labels_and_losses_;  // [batch] int32, then a value an exit
};

}  // namespace msd
