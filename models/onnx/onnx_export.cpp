// SPDX-License-Identifier: MIT
#include "models/onnx/onnx_export.h"

#include "engine/files/file.h"
#include "models/inference/batchnorm_folding.h"
#include "models/network/stages.h"
#include "models/onnx/onnx_graph.h"

namespace msd {
namespace {

// What runtimes of 2020 and later read.
constexpr std::int64_t kIrVersion = 8, kOperatorSet = 13;

class Exporter {
 public:
  Exporter(const Network& network, bool fold, onnx::GraphProto& graph)
      : net_(network.architecture()), fold_(fold), graph_(graph) {
    for (NamedTensor& named : network.parameters().state()) {
      state_.emplace(std::move(named.name), std::move(named.tensor));
    }
  }

  void run(const std::vector<std::int64_t>& exits) {
    const FeatureBuffer& image = net_.buffers[0];
    graph_.add_input("input", {image.channels, image.size, image.size});
    graph_.define({0, 0, image.channels}, "input");
    const std::vector<bool> required = required_operations(net_, exits);
    for (std::size_t i = 0; i < required.size(); ++i) {
      const Operation& op = net_.operations[i];
      if (required[i]) graph_.define(op.output, add(op, graph_.value(op.input)));
    }
    for (const std::int64_t exit : exits) {
      graph_.add_output(logits_name(exit), {net_.config.classes});
    }
  }

 private:
  static std::string logits_name(std::int64_t exit) { return "logits" + std::to_string(exit + 1); }

  const Tensor& tensor(const std::string& name) const { return state_.at(name); }

  std::string initializer(const std::string& name, const Tensor& values) {
    graph_.add_initializer(name, values);
    return name;
  }
  std::string initializer(const std::string& name) { return initializer(name, tensor(name)); }

  // Each returns the name of the operation's result.
  std::string add(const Operation& op, const std::string& input) {
    const std::string at = "block" + std::to_string(op.block + 1) + ".";
    return visit(
        op, [&](const Convolution& c) { return add_convolution(op.name, c, input); },
        [&](const MaxPool& p) {
          const auto [kernel, stride, padding] = p.geometry;
          add_window("MaxPool", at + "max_pool", {input}, kernel, stride, padding);
          return at + "max_pool";
        },
        [&](const GlobalAveragePool&) {
          graph_.add_node("GlobalAveragePool", at + "average_pool", {input});
          set_int(graph_.add_node("Flatten", at + "flatten", {at + "average_pool"}), "axis", 1);
          return at + "flatten";
        },
        [&](const Linear&) {
          const std::string name = logits_name(op.block);
          const std::string weight = initializer(op.name + ".weight");
          const std::string bias = initializer(op.name + ".bias");
          set_int(graph_.add_node("Gemm", name, {input, weight, bias}), "transB", 1);
          return name;
        });
  }

  void add_window(const std::string& op_type, const std::string& name,
                  const std::vector<std::string>& inputs, std::int64_t kernel, std::int64_t stride,
                  std::int64_t padding) {
    onnx::NodeProto& node = graph_.add_node(op_type, name, inputs);
    set_ints(node, "kernel_shape", {kernel, kernel});
    set_ints(node, "strides", {stride, stride});
    set_ints(node, "pads", {padding, padding, padding, padding});
  }

  std::string add_convolution(const std::string& name, const Convolution& convolution,
                              const std::string& input) {
    const std::string weight = name + ".weight", bias = name + ".bias";
    const std::string& bn = convolution.batchnorm_name;
    std::vector<std::string> inputs = {input};
    if (fold_) {
      const FoldedConvolution folded =
          fold_batchnorm(tensor(weight), convolution.has_bias ? tensor(bias) : Tensor(),
                         {tensor(bn + ".weight"), tensor(bn + ".bias"),
                          tensor(bn + ".running_mean"), tensor(bn + ".running_var")});
      inputs.push_back(initializer(weight, folded.weight));
      inputs.push_back(initializer(bias, folded.bias));
    } else {
      inputs.push_back(initializer(weight));
      if (convolution.has_bias) inputs.push_back(initializer(bias));
    }
    const ConvGeometry& g = convolution.geometry;
    add_window("Conv", name, inputs, g.kernel, g.stride, g.padding);
    std::string result = name;
    if (!fold_) {
      inputs = {result};
      for (const char* leaf : {".weight", ".bias", ".running_mean", ".running_var"}) {
        inputs.push_back(initializer(bn + leaf));
      }
      set_float(graph_.add_node("BatchNormalization", bn, inputs), "epsilon",
                static_cast<float>(kBatchNormEpsilon));
      result = bn;
    }
    graph_.add_node("Relu", name + ".relu", {result});
    return name + ".relu";
  }

  const Architecture& net_;
  const bool fold_;
  OnnxGraph graph_;
  std::map<std::string, Tensor> state_;
};

}  // namespace

std::string onnx_model(const Network& network, const OnnxOptions& options,
                       const std::map<std::string, std::string>& metadata) {
  const Architecture& net = network.architecture();
  const std::vector<std::int64_t> exits = options.exits.empty() ? all_exits(net) : options.exits;
  check_exits(net, exits);
  onnx::ModelProto model;
  model.set_ir_version(kIrVersion);
  model.set_producer_name("msd");
  onnx::OperatorSetIdProto& operators = *model.add_opset_import();
  operators.set_domain("");  // ONNX's own
  operators.set_version(kOperatorSet);
  for (const auto& [key, value] : metadata) {
    onnx::StringStringEntryProto& entry = *model.add_metadata_props();
    entry.set_key(key);
    entry.set_value(value);
  }
  model.mutable_graph()->set_name("msdnet");
  Exporter(network, options.fold_batchnorm, *model.mutable_graph()).run(exits);
  return serialize(model);
}

void write_onnx(const std::filesystem::path& path, const Network& network,
                const OnnxOptions& options, const std::map<std::string, std::string>& metadata) {
  write_file_atomically(path, onnx_model(network, options, metadata));
}

}  // namespace msd
