// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/tape.h"
#include "models/network.h"

namespace msd {

/// A network's forward and backward pass over one batch size, on a tape. Several graphs (a whole
/// batch, a last short one) may share a network.
class TrainingGraph {
 public:
  /// Borrows runtime and network. exit_weights: one a exit; the loss is their weighted sum of mean
  /// cross-entropies. batch >= 1; batch norm needs two values a channel, so the deepest map times
  /// the batch must have at least 2 (ConfigError otherwise).
  TrainingGraph(Runtime& runtime, Network& network, std::int64_t batch,
                const std::vector<double>& exit_weights);

  std::int64_t batch() const { return batch_; }
  /// To fill before run(): the normalised images [batch,size,size,3] ...
  View input() const { return tape_.value(input_); }
  /// ... and their labels, [batch].
  std::int32_t* labels() { return labels_.data(); }

  /// Forward and backward: sets losses, logits, the network's gradients (overwritten), and moves
  /// the running statistics. Allocates nothing.
  void run();

  std::int64_t exits() const { return static_cast<std::int64_t>(logits_.size()); }
  /// Exit's logits of the last run, [batch,1,1,classes].
  View logits(std::int64_t exit) const;
  /// Exit's mean cross-entropy of the last run, unweighted.
  double loss(std::int64_t exit) const;
  /// Weighted sum over the exits.
  double loss() const;
  std::int64_t arena_bytes() const { return tape_.arena_bytes(); }

 private:
  using Operations = std::vector<std::size_t>;
  void record_convolutions(const Operations& group);
  void record_others(const Operations& group);
  Variable variable(const Feature& feature) const;

  Network& network_;
  std::int64_t batch_;
  std::vector<double> exit_weights_;
  Tape tape_;
  std::vector<Variable> buffers_;  // one a feature buffer of the architecture
  Variable input_;
  std::vector<Variable> logits_;
  std::vector<std::int32_t> labels_;
  std::vector<double> losses_;  // memory for one value of the loss's dtype an exit
};

}  // namespace msd
