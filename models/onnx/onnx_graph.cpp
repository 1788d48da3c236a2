// SPDX-License-Identifier: MIT
#include "models/onnx/onnx_graph.h"

#include <bit>

namespace msd {
namespace {

static_assert(std::endian::native == std::endian::little, "raw_data is little-endian");

void describe(onnx::ValueInfoProto& value, const std::string& name,
              std::initializer_list<std::int64_t> dims) {
  value.set_name(name);
  onnx::TypeProto::Tensor& type = *value.mutable_type()->mutable_tensor_type();
  type.set_elem_type(onnx::TensorProto::FLOAT);
  type.mutable_shape()->add_dim()->set_dim_param("batch");
  for (const std::int64_t d : dims) type.mutable_shape()->add_dim()->set_dim_value(d);
}

onnx::AttributeProto& add_attribute(onnx::NodeProto& node, const std::string& name,
                                    onnx::AttributeProto::AttributeType type) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(type);
  return attribute;
}

}  // namespace

onnx::NodeProto& OnnxGraph::add_node(const std::string& op_type, const std::string& name,
                                     const std::vector<std::string>& inputs) {
  onnx::NodeProto& node = *graph_.add_node();
  node.set_op_type(op_type);
  node.set_name(name);
  for (const std::string& input : inputs) node.add_input(input);
  node.add_output(name);
  return node;
}

void OnnxGraph::add_initializer(const std::string& name, const Tensor& tensor) {
  MSD_CHECK(tensor.is_contiguous() && tensor.on_host(), "initializer ", name);
  onnx::TensorProto& initializer = *graph_.add_initializer();
  initializer.set_name(name);
  initializer.set_data_type(onnx::TensorProto::FLOAT);
  for (const std::int64_t d : tensor.shape()) initializer.add_dims(d);
  std::string& raw = *initializer.mutable_raw_data();
  raw.resize(static_cast<std::size_t>(tensor.elems()) * sizeof(float));
  for (std::int64_t i = 0; i < tensor.elems(); ++i) {
    store_element(raw.data(), DType::f32, i, load_element(tensor.data(), tensor.dtype(), i));
  }
}

void OnnxGraph::add_input(const std::string& name, std::initializer_list<std::int64_t> dims) {
  describe(*graph_.add_input(), name, dims);
}

void OnnxGraph::add_output(const std::string& name, std::initializer_list<std::int64_t> dims) {
  describe(*graph_.add_output(), name, dims);
}

void OnnxGraph::define(const Feature& feature, const std::string& name) {
  values_[{feature.buffer, feature.first, feature.channels}] = name;
}

std::string OnnxGraph::value(const Feature& feature) {
  const std::int64_t end = feature.first + feature.channels;
  std::vector<std::string> parts;
  for (std::int64_t first = feature.first; first < end;) {
    // The last known value that starts there and is not too wide.
    auto found = values_.upper_bound({feature.buffer, first, end - first});
    MSD_CHECK(found != values_.begin(), "no value for channel ", first, " of buffer ",
              feature.buffer);
    const auto& [buffer, known_first, channels] = (--found)->first;
    MSD_CHECK(buffer == feature.buffer && known_first == first, "no value for channel ", first,
              " of buffer ", feature.buffer);
    parts.push_back(found->second);
    first += channels;
  }
  if (parts.size() == 1) return parts[0];
  const std::string name = message("features.", feature.buffer, ".", feature.first, "-", end - 1);
  set_int(add_node("Concat", name, parts), "axis", 1);
  define(feature, name);
  return name;
}

void set_ints(onnx::NodeProto& node, const std::string& name,
              std::initializer_list<std::int64_t> values) {
  onnx::AttributeProto& attribute = add_attribute(node, name, onnx::AttributeProto::INTS);
  for (const std::int64_t value : values) attribute.add_ints(value);
}

void set_int(onnx::NodeProto& node, const std::string& name, std::int64_t value) {
  add_attribute(node, name, onnx::AttributeProto::INT).set_i(value);
}

void set_float(onnx::NodeProto& node, const std::string& name, float value) {
  add_attribute(node, name, onnx::AttributeProto::FLOAT).set_f(value);
}

std::string serialize(const onnx::ModelProto& model, std::size_t max_bytes) {
  const std::size_t bytes = model.ByteSizeLong();
  if (bytes > max_bytes) {
    throw ConfigError(message("an ONNX model of ", bytes, " bytes is larger than the ", max_bytes,
                              " that the format allows; choose a smaller network or fewer exits"));
  }
  std::string text;
  if (!model.SerializeToString(&text)) throw Error("protobuf cannot serialize the ONNX model");
  return text;
}

}  // namespace msd
