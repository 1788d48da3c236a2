// SPDX-License-Identifier: MIT
#include "models/training/training_graph.h"

#include <algorithm>
#include <numeric>

#include "engine/autograd/batchnorm.h"
#include "engine/autograd/convolution.h"
#include "engine/autograd/linear.h"
#include "engine/autograd/loss.h"
#include "engine/autograd/pooling.h"

namespace msd {
namespace {

std::int64_t losses_offset(std::int64_t batch) {
  return round_up(batch * size_bytes(DType::i32), Allocator::kAlignment);
}

}  // namespace

std::int64_t smallest_batch(const Architecture& net) {
  const auto makes_one_value = [&](const Operation& op) {
    return std::holds_alternative<Convolution>(op.kind) &&
           net.buffers[static_cast<std::size_t>(op.output.buffer)].size == 1;
  };
  return std::any_of(net.operations.begin(), net.operations.end(), makes_one_value) ? 2 : 1;
}

TrainingGraph::TrainingGraph(Runtime& runtime, Network& network, std::int64_t batch,
                             const std::vector<double>& exit_weights, DType activations)
    : runtime_(runtime),
      network_(network),
      batch_(batch),
      exit_weights_(exit_weights),
      tape_(runtime, network.parameters(), activations) {
  MSD_CHECK(accumulator_of(activations) == network.dtype(), "activations of ", name(activations),
            " for parameters of ", name(network.dtype()));
  const Architecture& net = network.architecture();
  if (batch < 1) throw ConfigError(message("--batch-size is ", batch, "; it must be at least 1"));
  if (batch < smallest_batch(net)) {
    throw ConfigError(message("--batch-size ", batch, ": batch norm needs two values a channel ",
                              "and the network ends in maps of 1x1; use at least 2"));
  }
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
  labels_and_losses_ =
      Buffer(runtime.allocator(),
             losses_offset(batch) + net.exits() * size_bytes(accumulator_of(activations)));

  for (std::size_t i = 0; i < net.operations.size();) {
    Operations group;
    const std::int64_t id = net.operations[i].group;
    for (; i < net.operations.size() && net.operations[i].group == id; ++i) group.push_back(i);
    record(group);
  }
  auto& loss = tape_.record<CrossEntropyNode>(labels(), losses_data());
  for (std::size_t exit = 0; exit < logits_.size(); ++exit) {
    loss.add(logits_[exit], exit_weights_[exit]);
  }
  tape_.compile();
}

Variable TrainingGraph::variable(const Feature& feature) const {
  return {buffers_[static_cast<std::size_t>(feature.buffer)].buffer, feature.first,
          feature.channels};
}

void TrainingGraph::record(const Operations& group) {
  const std::vector<Operation>& all = network_.architecture().operations;
  const auto from = [&](std::size_t i) { return variable(all[i].input); };
  const auto to = [&](std::size_t i) { return variable(all[i].output); };
  visit(
      all[group[0]], [&](const Convolution&) { record_convolutions(group); },
      [&](const MaxPool&) {
        auto& node = tape_.record<MaxPoolNode>();
        for (const std::size_t i : group) {
          node.add(from(i), to(i), std::get<MaxPool>(all[i].kind).geometry);
        }
      },
      [&](const GlobalAveragePool&) {
        auto& node = tape_.record<GlobalAvgPoolNode>();
        for (const std::size_t i : group) node.add(from(i), to(i));
      },
      [&](const Linear&) {
        auto& node = tape_.record<LinearNode>();
        for (const std::size_t i : group) {
          node.add(from(i), to(i), {network_.of(i).weight, network_.of(i).bias});
        }
      });
}

void TrainingGraph::record_convolutions(const Operations& group) {
  const Architecture& net = network_.architecture();
  auto& convolutions = tape_.record<ConvolutionNode>();
  std::vector<Variable> raw;  // before batch norm
  for (const std::size_t i : group) {
    const Operation& op = net.operations[i];
    const std::int64_t size = net.buffers[static_cast<std::size_t>(op.output.buffer)].size;
    raw.push_back(
        tape_.buffer(batch_, size, size, op.output.channels,
                     {.requires_gradient = true, .keep = false, .gradient_in_place = true}));
    convolutions.add(variable(op.input), raw.back(), std::get<Convolution>(op.kind).geometry,
                     {network_.of(i).weight, network_.of(i).bias});
  }
  auto& norms = tape_.record<BatchNormNode>(kBatchNormMomentum, kBatchNormEpsilon);
  for (std::size_t k = 0; k < group.size(); ++k) {
    const Network::OperationParameters& ids = network_.of(group[k]);
    norms.add(raw[k], variable(net.operations[group[k]].output),
              {ids.gamma, ids.beta, ids.running_mean, ids.running_var},
              convolutions.leave_statistics(k));
  }
}

void* TrainingGraph::losses_data() const {
  return labels_and_losses_.data() + losses_offset(batch_);
}

void TrainingGraph::set_batch(const ConstView& images, const std::int32_t* labels) {
  for (std::int64_t i = 0; i < batch_; ++i) {
    const std::int64_t classes = network_.config().classes;
    MSD_CHECK(labels[i] >= 0 && labels[i] < classes, "label ", labels[i], " of image ", i,
              " of a batch; there are ", classes, " classes");
  }
  write_view(runtime_.allocator(), input(), images);
  runtime_.allocator().upload(this->labels(), labels, batch_ * size_bytes(DType::i32));
}

void TrainingGraph::run() {
  run_ops();
  count_batch();
}

void TrainingGraph::run_ops(const Tape::GradientReady& ready) {
  tape_.forward();
  tape_.backward(ready);
}

void TrainingGraph::count_batch() {
  for (std::size_t i = 0; i < network_.architecture().operations.size(); ++i) {
    const ParameterSet::Id counter = network_.of(i).batches_tracked;
    if (counter >= 0) ++network_.parameters().counter(counter);
  }
}

View TrainingGraph::logits(std::int64_t exit) const {
  return tape_.value(logits_.at(static_cast<std::size_t>(exit)));
}

std::vector<double> TrainingGraph::losses() const {
  const DType dtype = accumulator_of(tape_.dtype());
  std::vector<double> bytes(logits_.size());  // room for either type
  runtime_.allocator().copy(bytes.data(), losses_data(), exits() * size_bytes(dtype));
  std::vector<double> losses;
  for (std::int64_t exit = 0; exit < exits(); ++exit) {
    losses.push_back(load_element(bytes.data(), dtype, exit));
  }
  return losses;
}

double TrainingGraph::loss() const {
  const std::vector<double> of_exits = losses();
  return std::inner_product(of_exits.begin(), of_exits.end(), exit_weights_.begin(), 0.0);
}

}  // namespace msd
