// SPDX-License-Identifier: MIT
#include "engine/autograd/batchnorm.h"

namespace msd {

void BatchNormNode::add(Variable input, Variable output, Parameters parameters,
                        const BatchStatistics* statistics) {
  problems.push_back({input, output});
  parameters_.push_back(parameters);
  statistics_.push_back(statistics);
}

std::vector<ScratchRequest> BatchNormNode::scratch(const Tape& tape) const {
  std::vector<ScratchRequest> requests;
  for (const Problem& problem : problems) {
    const std::int64_t bytes = problem.input.channels * size_bytes(accumulator_of(tape.dtype()));
    for (int i = 0; i < 2; ++i) {  // saved mean and invstd
      requests.push_back({bytes, ScratchRequest::Phase::forward_to_backward});
    }
  }
  return requests;
}

void BatchNormNode::bind(const Tape& tape, const std::vector<std::byte*>& scratch) {
  const ParameterSet& set = tape.parameters();
  for (std::size_t p = 0; p < problems.size(); ++p) {
    const Problem& problem = problems[p];
    const Parameters& ids = parameters_[p];
    const View x = tape.value(problem.input);
    void* mean = scratch[2 * p];
    void* invstd = scratch[2 * p + 1];
    BatchNormForwardArgs f;
    f.x = x;
    f.y = tape.value(problem.output);
    f.gamma = set.value(ids.gamma);
    f.beta = set.value(ids.beta);
    f.running_mean = set.statistic(ids.running_mean);
    f.running_var = set.statistic(ids.running_var);
    f.saved_mean = mean;
    f.saved_invstd = invstd;
    f.momentum = momentum_;
    f.epsilon = epsilon_;
    f.statistics = statistics_[p];
    forward_.push_back(f);
    if (!problem.active) continue;
    MSD_CHECK(problem.wants_input_gradient && !problem.accumulate,
              "batch norm must be the only reader of its input");
    BatchNormBackwardArgs b;
    b.x = x;
    b.dy = tape.gradient(problem.output);
    b.dx = tape.gradient(problem.input);
    b.gamma = f.gamma;
    b.beta = f.beta;
    b.saved_mean = mean;
    b.saved_invstd = invstd;
    b.dgamma = set.gradient(ids.gamma);
    b.dbeta = set.gradient(ids.beta);
    backward_.push_back(b);
  }
}

void BatchNormNode::forward(ExecutionContext& context) { batchnorm_forward(context, forward_); }
void BatchNormNode::backward(ExecutionContext& context) { batchnorm_backward(context, backward_); }

std::vector<ParameterSet::Id> BatchNormNode::parameters(std::size_t problem) const {
  return {parameters_[problem].gamma, parameters_[problem].beta};
}

}  // namespace msd
