// SPDX-License-Identifier: MIT
#include "tests/models/onnx/onnx_interpreter.h"
#include "tests/models/onnx/onnx_node.h"

namespace msd::test {
namespace {

using std::int64_t;

void require(bool condition, const onnx::NodeProto& node, const std::string& what) {
  if (!condition) refuse(node.op_type() + " " + node.name() + ": " + what);
}

Shape output_shape(const onnx::NodeProto& node, const std::vector<Shape>& in) {
  const std::string& type = node.op_type();
  const Shape& x = in.at(0);
  if (type == "Conv") {
    const Window window(node);
    const Shape& w = in.at(1);
    require(x.size() == 4 && w == Shape{w.at(0), x[1], window.kernel[0], window.kernel[1]}, node,
            "weight");
    require(in.size() == 2 || in[2] == Shape{w[0]}, node, "bias");
    return {x[0], w[0], window.out(0, x[2]), window.out(1, x[3])};
  }
  if (type == "MaxPool") {
    const Window window(node);
    return {x.at(0), x.at(1), window.out(0, x.at(2)), window.out(1, x.at(3))};
  }
  if (type == "BatchNormalization") {
    require(in.size() == 5, node, "inputs");
    for (std::size_t i = 1; i < 5; ++i) require(in[i] == Shape{x.at(1)}, node, "channels");
    return x;
  }
  if (type == "Relu") return x;
  if (type == "Concat") {
    require(int_of(node, "axis", -1) == 1, node, "axis");
    Shape out = x;
    out.at(1) = 0;
    for (Shape part : in) {
      out[1] += part.at(1);
      part[1] = x[1];
      require(part == x, node, "parts of several sizes");
    }
    return out;
  }
  if (type == "GlobalAveragePool") return {x.at(0), x.at(1), 1, 1};
  if (type == "Flatten") {
    require(int_of(node, "axis", 1) == 1, node, "axis");
    return {x.at(0), product(x) / x.at(0)};
  }
  if (type == "Gemm") {
    require(int_of(node, "transB", 0) == 1, node, "transB");
    const Shape &w = in.at(1), &bias = in.at(2);
    require(x.size() == 2 && w == Shape{w.at(0), x[1]} && bias == Shape{w[0]}, node, "operands");
    return {x[0], w[0]};
  }
  refuse("operator " + type);
}

// Puts a name into `all` and gives its place; a name is made once.
template <typename T>
T& make(std::map<std::string, T>& all, const std::string& name) {
  const auto [it, is_new] = all.try_emplace(name);
  if (!is_new) refuse(name + " is made twice");
  return it->second;
}

template <typename T>
T& use(std::map<std::string, T>& all, const std::string& name) {
  const auto it = all.find(name);
  if (it == all.end()) refuse(name + " is used before it is made");
  return it->second;
}

}  // namespace

std::map<std::string, Shape> infer_shapes(const onnx::GraphProto& graph, int64_t batch) {
  std::map<std::string, Shape> shapes;
  for (const onnx::ValueInfoProto& input : graph.input()) {
    Shape& shape = make(shapes, input.name());
    for (const auto& dim : input.type().tensor_type().shape().dim()) {
      shape.push_back(dim.has_dim_param() ? batch : dim.dim_value());
    }
  }
  for (const onnx::TensorProto& tensor : graph.initializer()) {
    make(shapes, tensor.name()) = {tensor.dims().begin(), tensor.dims().end()};
  }
  for (const onnx::NodeProto& node : graph.node()) {
    std::vector<Shape> in;
    for (const std::string& name : node.input()) in.push_back(use(shapes, name));
    require(node.output_size() == 1, node, "outputs");
    make(shapes, node.output(0)) = output_shape(node, in);
  }
  for (const onnx::ValueInfoProto& output : graph.output()) use(shapes, output.name());
  return shapes;
}

int64_t mul_adds(const onnx::GraphProto& graph) {
  std::map<std::string, Shape> shapes = infer_shapes(graph, 1);
  int64_t total = 0;
  for (const onnx::NodeProto& node : graph.node()) {
    if (node.op_type() != "Conv" && node.op_type() != "Gemm") continue;
    const Shape& weight = shapes.at(node.input(1));
    total += product(shapes.at(node.output(0))) * (product(weight) / weight[0]);
  }
  return total;
}

}  // namespace msd::test
