// SPDX-License-Identifier: MIT
// What an ONNX graph means, by the format's text: shapes and values, in double, naively. Knows the
// operators that exported networks use and throws std::invalid_argument at any other, and at a
// graph that is not in order: a name used before it is made, or made twice.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "models/onnx/onnx.pb.h"

namespace msd::test {

using Shape = std::vector<std::int64_t>;

struct OnnxValue {
  Shape shape;
  std::vector<double> elems;  // row-major
};

/// The shapes of all names, where the graph's one input has `batch` images.
std::map<std::string, Shape> infer_shapes(const onnx::GraphProto& graph, std::int64_t batch);

/// Of one image, from the shapes of what convolutions and matrix products read and write.
std::int64_t mul_adds(const onnx::GraphProto& graph);

/// The graph's outputs by name. images: [batch][3][size][size].
std::map<std::string, OnnxValue> evaluate(const onnx::GraphProto& graph,
                                          const std::vector<double>& images);

}  // namespace msd::test
