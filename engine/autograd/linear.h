// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "engine/tape.h"

namespace msd {

/// y = x * weight^T + bias over rows.
class LinearNode : public Node {
 public:
  struct Parameters {
    ParameterSet::Id weight = -1, bias = -1;
  };

  void add(Variable input, Variable output, Parameters parameters);
  void bind(const Tape& tape, const std::vector<std::byte*>& scratch) override;
  void forward(ExecutionContext& context) override;
  void backward(ExecutionContext& context) override;
  std::vector<ParameterSet::Id> parameters(std::size_t problem) const override;

 private:
  std::vector<Parameters> parameters_;
  std::vector<LinearForwardArgs> forward_;
  std::vector<LinearBackwardArgs> backward_;
};

}  // namespace msd
