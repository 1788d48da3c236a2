// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "engine/tape.h"

namespace msd {

/// y = relu(batchnorm(x)) with batch statistics, for a group of independent layers. y may be a
/// channel slice of a wider buffer: writing it there is the concatenation.
class BatchNormNode : public Node {
 public:
  struct Parameters {
    ParameterSet::Id gamma = -1, beta = -1;
    ParameterSet::Id running_mean = -1, running_var = -1;  // statistics
  };

  BatchNormNode(double momentum, double epsilon) : momentum_(momentum), epsilon_(epsilon) {}
  /// statistics: null, or those that the input's convolution leaves
  /// (ConvolutionNode::leave_statistics).
  void add(Variable input, Variable output, Parameters parameters,
           const BatchStatistics* statistics = nullptr);

  std::vector<ScratchRequest> scratch(const Tape& tape) const override;
  void bind(const Tape& tape, const std::vector<std::byte*>& scratch) override;
  void forward(ExecutionContext& context) override;
  void backward(ExecutionContext& context) override;
  std::vector<ParameterSet::Id> parameters(std::size_t problem) const override;

 private:
  double momentum_, epsilon_;
  std::vector<Parameters> parameters_;
  std::vector<const BatchStatistics*> statistics_;
  std::vector<BatchNormForwardArgs> forward_;
  std::vector<BatchNormBackwardArgs> backward_;
};

}  // namespace msd
