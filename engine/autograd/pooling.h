// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "engine/tape.h"

namespace msd {

/// y = max pool(x).
class MaxPoolNode : public Node {
 public:
  void add(Variable input, Variable output, const PoolGeometry& geometry);
  void bind(const Tape& tape, const std::vector<std::byte*>& scratch) override;
  void forward(ExecutionContext& context) override;
  void backward(ExecutionContext& context) override;

 private:
  std::vector<PoolGeometry> geometries_;
  std::vector<MaxPoolForwardArgs> forward_;
  std::vector<std::vector<MaxPoolBackwardArgs>> backward_;  // by wave
};

/// y = mean of x over all positions, [n,1,1,c].
class GlobalAvgPoolNode : public Node {
 public:
  void add(Variable input, Variable output) { problems.push_back({input, output}); }
  bool backward_reads_input() const override { return false; }
  void bind(const Tape& tape, const std::vector<std::byte*>& scratch) override;
  void forward(ExecutionContext& context) override;
  void backward(ExecutionContext& context) override;

 private:
  std::vector<AvgPoolForwardArgs> forward_;
  std::vector<std::vector<AvgPoolBackwardArgs>> backward_;  // by wave
};

}  // namespace msd
