// SPDX-License-Identifier: MIT
#include "engine/autograd/linear.h"

namespace msd {

void LinearNode::add(Variable input, Variable output, Parameters parameters) {
  problems.push_back({input, output});
  parameters_.push_back(parameters);
}

void LinearNode::bind(const Tape& tape, const std::vector<std::byte*>&) {
  const ParameterSet& set = tape.parameters();
  for (std::size_t p = 0; p < problems.size(); ++p) {
    const Problem& problem = problems[p];
    const View x = tape.value(problem.input);
    const void* weight = set.value(parameters_[p].weight);
    forward_.push_back({x, weight, set.value(parameters_[p].bias), tape.value(problem.output)});
    if (!problem.active) continue;
    MSD_CHECK(problem.wave == 0, "two linear layers of one group share an input");
    backward_.push_back({x, tape.gradient(problem.output), weight,
                         problem.wants_input_gradient ? tape.gradient(problem.input) : View{},
                         set.gradient(parameters_[p].weight), set.gradient(parameters_[p].bias),
                         problem.accumulate});
  }
}

void LinearNode::forward(ExecutionContext& context) { linear_forward(context, forward_); }
void LinearNode::backward(ExecutionContext& context) { linear_backward(context, backward_); }

std::vector<ParameterSet::Id> LinearNode::parameters(std::size_t problem) const {
  return {parameters_[problem].weight, parameters_[problem].bias};
}

}  // namespace msd
