// SPDX-License-Identifier: MIT
// Reading one node of an ONNX graph: for onnx_interpreter.h.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "tests/models/onnx/onnx_interpreter.h"

namespace msd::test {

[[noreturn]] inline void refuse(const std::string& what) { throw std::invalid_argument(what); }

inline const onnx::AttributeProto* find(const onnx::NodeProto& node, const std::string& name) {
  for (const onnx::AttributeProto& attribute : node.attribute()) {
    if (attribute.name() == name) return &attribute;
  }
  return nullptr;
}

inline std::int64_t int_of(const onnx::NodeProto& node, const std::string& name,
                           std::int64_t absent) {
  const onnx::AttributeProto* found = find(node, name);
  if (found == nullptr) return absent;
  if (found->type() != onnx::AttributeProto::INT) refuse(name + " is no INT");
  return found->i();
}

inline Shape ints_of(const onnx::NodeProto& node, const std::string& name, Shape absent) {
  const onnx::AttributeProto* found = find(node, name);
  if (found == nullptr) return absent;
  if (found->type() != onnx::AttributeProto::INTS) refuse(name + " is no INTS");
  return {found->ints().begin(), found->ints().end()};
}

inline std::int64_t product(const Shape& shape) {
  std::int64_t total = 1;
  for (const std::int64_t d : shape) total *= d;
  return total;
}

// The window of a convolution or pooling; pads are top, left, bottom, right.
struct Window {
  explicit Window(const onnx::NodeProto& node)
      : kernel(ints_of(node, "kernel_shape", {})),
        strides(ints_of(node, "strides", {1, 1})),
        pads(ints_of(node, "pads", {0, 0, 0, 0})) {
    if (kernel.size() != 2 || strides.size() != 2 || pads.size() != 4) refuse("not two dimensions");
  }
  std::int64_t out(std::size_t axis, std::int64_t in) const {
    return (in + pads[axis] + pads[axis + 2] - kernel[axis]) / strides[axis] + 1;
  }
  Shape kernel, strides, pads;
};

}  // namespace msd::test
