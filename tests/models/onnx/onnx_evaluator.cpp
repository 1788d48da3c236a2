// SPDX-License-Identifier: MIT
#include "tests/models/onnx/onnx_interpreter.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "tests/models/onnx/onnx_node.h"

namespace msd::test {
namespace {

using std::int64_t;

std::size_t at(int64_t i) { return static_cast<std::size_t>(i); }

// Calls visit(output position, weight position in the window, input position) for each position of
// the window inside the image; positions within one channel's map.
template <typename Visit>
void for_each_tap(const Window& window, const Shape& in, const Shape& out, Visit&& visit) {
  for (int64_t oy = 0; oy < out[2]; ++oy) {
    for (int64_t ox = 0; ox < out[3]; ++ox) {
      for (int64_t ky = 0; ky < window.kernel[0]; ++ky) {
        for (int64_t kx = 0; kx < window.kernel[1]; ++kx) {
          const int64_t y = oy * window.strides[0] + ky - window.pads[0];
          const int64_t x = ox * window.strides[1] + kx - window.pads[1];
          if (y < 0 || x < 0 || y >= in[2] || x >= in[3]) continue;
          visit(at(oy * out[3] + ox), at(ky * window.kernel[1] + kx), at(y * in[3] + x));
        }
      }
    }
  }
}

using Inputs = std::vector<const OnnxValue*>;

void conv(const onnx::NodeProto& node, const Inputs& in, OnnxValue& out) {
  const Window window(node);
  const OnnxValue &x = *in[0], &w = *in[1];
  const int64_t cin = x.shape[1], cout = out.shape[1];
  const int64_t in_map = x.shape[2] * x.shape[3], out_map = out.shape[2] * out.shape[3];
  const int64_t taps = window.kernel[0] * window.kernel[1];
  for (int64_t i = 0; i < out.shape[0] * cout; ++i) {
    double* y = out.elems.data() + i * out_map;
    std::fill(y, y + out_map, in.size() > 2 ? in[2]->elems[at(i % cout)] : 0.0);
    for (int64_t c = 0; c < cin; ++c) {
      const double* from = x.elems.data() + ((i / cout) * cin + c) * in_map;
      const double* weight = w.elems.data() + ((i % cout) * cin + c) * taps;
      for_each_tap(window, x.shape, out.shape, [&](std::size_t o, std::size_t k, std::size_t p) {
        y[o] += weight[k] * from[p];
      });
    }
  }
}

void max_pool(const onnx::NodeProto& node, const OnnxValue& x, OnnxValue& out) {
  const int64_t in_map = x.shape[2] * x.shape[3], out_map = out.shape[2] * out.shape[3];
  std::fill(out.elems.begin(), out.elems.end(), -std::numeric_limits<double>::infinity());
  for (int64_t i = 0; i < x.shape[0] * x.shape[1]; ++i) {
    double* y = out.elems.data() + i * out_map;
    const double* from = x.elems.data() + i * in_map;
    for_each_tap(Window(node), x.shape, out.shape, [&](std::size_t o, std::size_t, std::size_t p) {
      y[o] = std::max(y[o], from[p]);
    });
  }
}

void batch_norm(const onnx::NodeProto& node, const Inputs& in, OnnxValue& out) {
  const onnx::AttributeProto* epsilon = find(node, "epsilon");
  const double eps = epsilon != nullptr ? static_cast<double>(epsilon->f()) : 1e-5;
  const int64_t map = out.shape[2] * out.shape[3];
  for (std::size_t i = 0; i < out.elems.size(); ++i) {
    const std::size_t c = i / at(map) % at(out.shape[1]);
    const double gamma = in[1]->elems[c], beta = in[2]->elems[c];
    const double mean = in[3]->elems[c], var = in[4]->elems[c];
    out.elems[i] = (in[0]->elems[i] - mean) / std::sqrt(var + eps) * gamma + beta;
  }
}

void concat(const Inputs& in, OnnxValue& out) {
  auto to = out.elems.begin();
  for (int64_t n = 0; n < out.shape[0]; ++n) {
    for (const OnnxValue* part : in) {
      const int64_t image = product(part->shape) / part->shape[0];
      to = std::copy_n(part->elems.begin() + n * image, image, to);
    }
  }
}

void gemm(const Inputs& in, OnnxValue& out) {
  const int64_t cin = in[0]->shape[1], cout = out.shape[1];
  for (int64_t i = 0; i < out.shape[0] * cout; ++i) {
    double sum = in[2]->elems[at(i % cout)];
    for (int64_t c = 0; c < cin; ++c) {
      sum += in[0]->elems[at(i / cout * cin + c)] * in[1]->elems[at(i % cout * cin + c)];
    }
    out.elems[at(i)] = sum;
  }
}

void run(const onnx::NodeProto& node, const Inputs& in, OnnxValue& out) {
  const std::string& type = node.op_type();
  const OnnxValue& x = *in.at(0);
  out.elems.resize(at(product(out.shape)));
  if (type == "Conv") return conv(node, in, out);
  if (type == "MaxPool") return max_pool(node, x, out);
  if (type == "BatchNormalization") return batch_norm(node, in, out);
  if (type == "Concat") return concat(in, out);
  if (type == "Gemm") return gemm(in, out);
  if (type == "Flatten") out.elems = x.elems;
  for (std::size_t i = 0; i < out.elems.size(); ++i) {
    if (type == "Relu") out.elems[i] = std::max(x.elems[i], 0.0);
    if (type == "GlobalAveragePool") {
      const auto map = x.shape[2] * x.shape[3];
      double sum = 0.0;
      for (int64_t p = 0; p < map; ++p) sum += x.elems[i * at(map) + at(p)];
      out.elems[i] = sum / static_cast<double>(map);
    }
  }
}

OnnxValue value_of(const onnx::TensorProto& tensor) {
  OnnxValue value = {{tensor.dims().begin(), tensor.dims().end()}, {}};
  std::vector<float> floats(at(product(value.shape)));
  if (tensor.data_type() != onnx::TensorProto::FLOAT ||
      tensor.raw_data().size() != floats.size() * sizeof(float)) {
    refuse(tensor.name() + " does not hold its floats");
  }
  std::memcpy(floats.data(), tensor.raw_data().data(), tensor.raw_data().size());
  value.elems.assign(floats.begin(), floats.end());
  return value;
}

}  // namespace

std::map<std::string, OnnxValue> evaluate(const onnx::GraphProto& graph,
                                          const std::vector<double>& images) {
  const std::string& input = graph.input(0).name();
  const int64_t image = product(infer_shapes(graph, 1).at(input));
  const auto batch = static_cast<int64_t>(images.size()) / image;
  const std::map<std::string, Shape> shapes = infer_shapes(graph, batch);
  std::map<std::string, OnnxValue> values;
  values[input] = {shapes.at(input), images};
  for (const onnx::TensorProto& tensor : graph.initializer()) {
    values[tensor.name()] = value_of(tensor);
  }
  for (const onnx::NodeProto& node : graph.node()) {
    Inputs in;
    for (const std::string& name : node.input()) in.push_back(&values.at(name));
    OnnxValue out = {shapes.at(node.output(0)), {}};
    run(node, in, out);
    values[node.output(0)] = std::move(out);
  }
  std::map<std::string, OnnxValue> outputs;
  for (const onnx::ValueInfoProto& output : graph.output()) {
    outputs[output.name()] = values.at(output.name());
  }
  return outputs;
}

}  // namespace msd::test
