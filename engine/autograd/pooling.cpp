// SPDX-License-Identifier: MIT
#include "engine/autograd/pooling.h"

namespace msd {
namespace {

template <typename Args>
void add_to_wave(std::vector<std::vector<Args>>& waves, int wave, const Args& args) {
  const auto index = static_cast<std::size_t>(wave);
  if (waves.size() <= index) waves.resize(index + 1);
  waves[index].push_back(args);
}

}  // namespace

void MaxPoolNode::add(Variable input, Variable output, const PoolGeometry& geometry) {
  problems.push_back({input, output});
  geometries_.push_back(geometry);
}

void MaxPoolNode::bind(const Tape& tape, const std::vector<std::byte*>&) {
  for (std::size_t p = 0; p < problems.size(); ++p) {
    const Problem& problem = problems[p];
    const View x = tape.value(problem.input);
    forward_.push_back({x, tape.value(problem.output), geometries_[p]});
    if (!problem.active || !problem.wants_input_gradient) continue;
    add_to_wave(backward_, problem.wave,
                MaxPoolBackwardArgs{x, tape.gradient(problem.output), tape.gradient(problem.input),
                                    geometries_[p], problem.accumulate});
  }
}

void MaxPoolNode::forward(ExecutionContext& context) { max_pool_forward(context, forward_); }
void MaxPoolNode::backward(ExecutionContext& context) {
  for (const auto& wave : backward_) max_pool_backward(context, wave);
}

void GlobalAvgPoolNode::bind(const Tape& tape, const std::vector<std::byte*>&) {
  for (const Problem& problem : problems) {
    const View x = tape.value(problem.input);
    forward_.push_back({x, tape.value(problem.output), x.h, x.w});
    if (!problem.active || !problem.wants_input_gradient) continue;
    add_to_wave(backward_, problem.wave,
                AvgPoolBackwardArgs{tape.gradient(problem.output), tape.gradient(problem.input),
                                    x.h, x.w, problem.accumulate});
  }
}

void GlobalAvgPoolNode::forward(ExecutionContext& context) { avg_pool_forward(context, forward_); }
void GlobalAvgPoolNode::backward(ExecutionContext& context) {
  for (const auto& wave : backward_) avg_pool_backward(context, wave);
}

}  // namespace msd
