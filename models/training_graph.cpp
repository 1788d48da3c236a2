// SPDX-License-Identifier: MIT
#include "models/training_graph.h"

#include "engine/autograd/batchnorm.h"
#include "engine/autograd/convolution.h"
#include "engine/autograd/linear.h"
#include "engine/autograd/loss.h"
#include "engine/autograd/pooling.h"

namespace msd {
namespace {

using Kind = Operation::Kind;

}  // namespace

TrainingGraph::TrainingGraph(Runtime& runtime, Network& network, std::int64_t batch,
                             const std::vector<double>& exit_weights)
    : network_(network),
      batch_(batch),
      exit_weights_(exit_weights),
      tape_(runtime, network.parameters(), network.parameters().dtype()) {
  const Architecture& net = network.architecture();
  if (batch < 1) throw ConfigError(message("--batch-size is ", batch, "; it must be at least 1"));
  if (static_cast<std::int64_t>(exit_weights.size()) != net.exits()) {
    throw ConfigError(message("--exit-weights has ", exit_weights.size(),
                              " values but the network ", net.exits(), " exits"));
  }
  for (std::size_t b = 0; b < net.buffers.size(); ++b) {
    const FeatureBuffer& buffer = net.buffers[b];
    Tape::BufferOptions options;
    options.requires_gradient = b != 0;
    options.keep = b == 0;
    for (const Feature& logits : net.logits) {
      if (logits.buffer == static_cast<std::int32_t>(b)) options.keep = true;
    }
    buffers_.push_back(tape_.buffer(batch, buffer.size, buffer.size, buffer.channels, options));
  }
  input_ = buffers_[0];
  for (const Feature& logits : net.logits) logits_.push_back(variable(logits));
  labels_.assign(static_cast<std::size_t>(batch), 0);
  losses_.assign(net.logits.size(), 0.0);

  for (std::size_t i = 0; i < net.operations.size();) {
    Operations group;
    const std::int64_t id = net.operations[i].group;
    for (; i < net.operations.size() && net.operations[i].group == id; ++i) group.push_back(i);
    if (net.operations[group[0]].kind == Kind::conv_bn_relu) {
      record_convolutions(group);
    } else {
      record_others(group);
    }
  }
  auto& loss = tape_.record<CrossEntropyNode>(labels_.data(), losses_.data());
  for (std::size_t exit = 0; exit < logits_.size(); ++exit) {
    loss.add(logits_[exit], exit_weights_[exit]);
  }
  tape_.compile();
}

Variable TrainingGraph::variable(const Feature& feature) const {
  return {buffers_[static_cast<std::size_t>(feature.buffer)].buffer, feature.first,
          feature.channels};
}

void TrainingGraph::record_convolutions(const Operations& group) {
  const Architecture& net = network_.architecture();
  auto& convolutions = tape_.record<ConvolutionNode>();
  std::vector<Variable> raw;  // before batch norm
  for (const std::size_t i : group) {
    const Operation& op = net.operations[i];
    const std::int64_t size = net.buffers[static_cast<std::size_t>(op.output.buffer)].size;
    if (batch_ * size * size < 2) {
      throw ConfigError(message("--batch-size ", batch_, ": batch norm needs two values a channel ",
                                "and the network ends in maps of 1x1; use at least 2"));
    }
    raw.push_back(
        tape_.buffer(batch_, size, size, op.output.channels,
                     {.requires_gradient = true, .keep = false, .gradient_in_place = true}));
    convolutions.add(variable(op.input), raw.back(), op.conv,
                     {network_.of(i).weight, network_.of(i).bias});
  }
  auto& norms = tape_.record<BatchNormNode>(kBatchNormMomentum, kBatchNormEpsilon);
  for (std::size_t k = 0; k < group.size(); ++k) {
    const Network::OperationParameters& ids = network_.of(group[k]);
    norms.add(raw[k], variable(net.operations[group[k]].output),
              {ids.gamma, ids.beta, ids.running_mean, ids.running_var});
  }
}

void TrainingGraph::record_others(const Operations& group) {
  const Architecture& net = network_.architecture();
  for (const std::size_t i : group) {
    const Operation& op = net.operations[i];
    const Variable from = variable(op.input), to = variable(op.output);
    if (op.kind == Kind::max_pool) {
      tape_.record<MaxPoolNode>().add(from, to, op.pool);
    } else if (op.kind == Kind::global_avg_pool) {
      tape_.record<GlobalAvgPoolNode>().add(from, to);
    } else {
      tape_.record<LinearNode>().add(from, to, {network_.of(i).weight, network_.of(i).bias});
    }
  }
}

void TrainingGraph::run() {
  tape_.forward();
  tape_.backward();
  for (std::size_t i = 0; i < network_.architecture().operations.size(); ++i) {
    const ParameterSet::Id counter = network_.of(i).batches_tracked;
    if (counter >= 0) ++network_.parameters().counter(counter);
  }
}

View TrainingGraph::logits(std::int64_t exit) const {
  return tape_.value(logits_.at(static_cast<std::size_t>(exit)));
}

double TrainingGraph::loss(std::int64_t exit) const {
  const auto i = static_cast<std::size_t>(exit);
  if (tape_.dtype() == DType::f64) return losses_.at(i);
  return static_cast<double>(reinterpret_cast<const float*>(losses_.data())[i]);
}

double TrainingGraph::loss() const {
  double total = 0.0;
  for (std::int64_t exit = 0; exit < exits(); ++exit) {
    total += exit_weights_[static_cast<std::size_t>(exit)] * loss(exit);
  }
  return total;
}

}  // namespace msd
