// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "engine/tape.h"

namespace msd {

/// Weighted sum of the exits' mean softmax cross-entropies: the root of a training tape. Each
/// exit's own loss is kept unweighted.
class CrossEntropyNode : public Node {
 public:
  /// labels: [n] int32 that outlive the node; read at every forward. losses: one value of
  /// accumulator_of(dtype) an exit, written at every forward.
  CrossEntropyNode(const std::int32_t* labels, void* losses) : labels_(labels), losses_(losses) {}
  void add(Variable logits, double weight);

  bool is_root() const override { return true; }
  void bind(const Tape& tape, const std::vector<std::byte*>& scratch) override;
  void forward(ExecutionContext& context) override;
  void backward(ExecutionContext&) override {}

 private:
  const std::int32_t* labels_;
  void* losses_;
  std::vector<double> weights_;
  std::vector<SoftmaxCrossEntropyArgs> args_;
};

}  // namespace msd
