// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <initializer_list>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "engine/tensor.h"
#include "models/network/architecture.h"
#include "models/onnx/onnx.pb.h"

namespace msd {

/// Adds nodes and initializers to a graph, and knows which value holds which channels of the
/// architecture's feature buffers.
class OnnxGraph {
 public:
  explicit OnnxGraph(onnx::GraphProto& graph) : graph_(graph) {}

  /// A node with one output; node and output have one name. The reference is for the attributes and
  /// good until the next node.
  onnx::NodeProto& add_node(const std::string& op_type, const std::string& name,
                            const std::vector<std::string>& inputs);
  /// float32 with the tensor's shape. tensor: f32 or f64, contiguous, on the host.
  void add_initializer(const std::string& name, const Tensor& tensor);
  /// A float32 input or output [batch, dims...].
  void add_input(const std::string& name, std::initializer_list<std::int64_t> dims);
  void add_output(const std::string& name, std::initializer_list<std::int64_t> dims);

  /// Says that value `name` holds these channels.
  void define(const Feature& feature, const std::string& name);
  /// The value that holds these channels: one that was defined, or a Concat of some, which is made
  /// once. The widest known parts are taken, as the PyTorch code appends to what it has.
  std::string value(const Feature& feature);

 private:
  using Channels = std::tuple<std::int32_t, std::int64_t, std::int64_t>;  // as in Feature

  onnx::GraphProto& graph_;
  std::map<Channels, std::string> values_;
};

/// Attributes of the two types that are used.
void set_ints(onnx::NodeProto& node, const std::string& name,
              std::initializer_list<std::int64_t> values);
void set_int(onnx::NodeProto& node, const std::string& name, std::int64_t value);
void set_float(onnx::NodeProto& node, const std::string& name, float value);

/// Protobuf's limit of a message.
inline constexpr std::size_t kMaxOnnxBytes = 0x7fffffff;

/// The model's bytes. Throws ConfigError where they are more than max_bytes.
std::string serialize(const onnx::ModelProto& model, std::size_t max_bytes = kMaxOnnxBytes);

}  // namespace msd
