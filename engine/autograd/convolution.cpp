// SPDX-License-Identifier: MIT
#include "engine/autograd/convolution.h"

namespace msd {
namespace {

std::int64_t packed_bytes(const ConvGeometry& geometry, ConvPass pass, DType dtype) {
  return conv_packed_elems(geometry, pass) * size_bytes(dtype);
}

}  // namespace

void ConvolutionNode::add(Variable input, Variable output, const ConvGeometry& geometry,
                          Parameters parameters) {
  problems.push_back({input, output});
  geometries_.push_back(geometry);
  parameters_.push_back(parameters);
  statistics_.emplace_back();
}

const BatchStatistics* ConvolutionNode::leave_statistics(std::size_t problem) {
  statistics_.at(problem) = std::make_unique<BatchStatistics>();
  return statistics_[problem].get();
}

std::vector<ScratchRequest> ConvolutionNode::scratch(const Tape& tape) const {
  std::vector<ScratchRequest> requests;
  for (std::size_t p = 0; p < problems.size(); ++p) {
    const ConvGeometry& g = geometries_[p];
    const View x = tape.shape(problems[p].input);
    requests.push_back({packed_bytes(g, ConvPass::forward, tape.dtype())});
    if (statistics_[p] != nullptr) {
      requests.push_back({batch_statistics_bytes(tape.shape(problems[p].output)),
                          ScratchRequest::Phase::forward_to_next});
    }
    if (!problems[p].active) continue;
    requests.push_back({conv_backward_weight_workspace_bytes(g, x.n, x.h, x.w, tape.dtype()),
                        ScratchRequest::Phase::backward});
    if (problems[p].wants_input_gradient) {
      requests.push_back({packed_bytes(g, ConvPass::backward_data, tape.dtype()),
                          ScratchRequest::Phase::backward});
    }
  }
  return requests;
}

void ConvolutionNode::bind(const Tape& tape, const std::vector<std::byte*>& scratch) {
  const ParameterSet& set = tape.parameters();
  std::size_t next = 0;
  for (std::size_t p = 0; p < problems.size(); ++p) {
    const Problem& problem = problems[p];
    const ConvGeometry& g = geometries_[p];
    const void* weight = set.value(parameters_[p].weight);
    const bool has_bias = parameters_[p].bias >= 0;
    const View x = tape.value(problem.input);
    void* packed = scratch[next++];
    if (statistics_[p] != nullptr) {
      *statistics_[p] = {scratch[next++], batch_statistics_bytes(tape.shape(problem.output)), {}};
    }
    pack_forward_.push_back({weight, packed, g, ConvPass::forward, tape.dtype()});
    forward_.push_back({x, packed, has_bias ? set.value(parameters_[p].bias) : nullptr,
                        tape.value(problem.output), g, false, statistics_[p].get()});
    if (!problem.active) continue;
    const View dy = tape.gradient(problem.output);
    const std::int64_t workspace_bytes =
        conv_backward_weight_workspace_bytes(g, x.n, x.h, x.w, tape.dtype());
    backward_weight_.push_back({x, dy, set.gradient(parameters_[p].weight),
                                has_bias ? set.gradient(parameters_[p].bias) : nullptr, g,
                                scratch[next++], workspace_bytes});
    if (!problem.wants_input_gradient) continue;
    void* packed_backward = scratch[next++];
    pack_backward_.push_back({weight, packed_backward, g, ConvPass::backward_data, tape.dtype()});
    const auto wave = static_cast<std::size_t>(problem.wave);
    if (backward_data_.size() <= wave) backward_data_.resize(wave + 1);
    backward_data_[wave].push_back(
        {dy, packed_backward, tape.gradient(problem.input), g, problem.accumulate});
  }
}

void ConvolutionNode::forward(ExecutionContext& context) {
  conv_pack(context, pack_forward_);
  conv_forward(context, forward_);
}

void ConvolutionNode::backward(ExecutionContext& context) {
  conv_backward_weight(context, backward_weight_);
  if (pack_backward_.empty()) return;
  conv_pack(context, pack_backward_);
  for (const auto& wave : backward_data_) conv_backward_data(context, wave);
}

std::vector<ParameterSet::Id> ConvolutionNode::parameters(std::size_t problem) const {
  const Parameters& ids = parameters_[problem];
  if (ids.bias < 0) return {ids.weight};
  return {ids.weight, ids.bias};
}

}  // namespace msd
