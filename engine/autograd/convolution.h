// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <vector>

#include "engine/tape.h"

namespace msd {

/// y = conv(x, weight) [+ bias] for a group of independent convolutions.
/// dx by conv_backward_data, dw (and dbias) by conv_backward_weight.
class ConvolutionNode : public Node {
 public:
  struct Parameters {
    ParameterSet::Id weight = -1;
    ParameterSet::Id bias = -1;  // -1: none
  };

  /// input and output are NHWC variables of the tape; shapes are checked by the op when it runs.
  void add(Variable input, Variable output, const ConvGeometry& geometry, Parameters parameters);

  /// Makes problem's forward leave its output's statistics where it can, for the BatchNormNode that
  /// must be the next one recorded. The node keeps them.
  const BatchStatistics* leave_statistics(std::size_t problem);

  std::vector<ScratchRequest> scratch(const Tape& tape) const override;
  void bind(const Tape& tape, const std::vector<std::byte*>& scratch) override;
  void forward(ExecutionContext& context) override;
  void backward(ExecutionContext& context) override;
  std::vector<ParameterSet::Id> parameters(std::size_t problem) const override;

 private:
  std::vector<ConvGeometry> geometries_;
  std::vector<Parameters> parameters_;
  std::vector<std::unique_ptr<BatchStatistics>> statistics_;  // null where nobody wants them
  std::vector<ConvPackArgs> pack_forward_, pack_backward_;
  std::vector<ConvForwardArgs> forward_;
  std::vector<std::vector<ConvBackwardDataArgs>> backward_data_;  // by wave
  std::vector<ConvBackwardWeightArgs> backward_weight_;
};

}  // namespace msd
