// SPDX-License-Identifier: MIT
// cuDNN's backend API, as far as the plugin needs it: a graph of operations on tensors, and a plan
// that runs it. Everything throws CudaError. Never ran on a GPU yet.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <vector>

#include "kernels/cuda/device/handle.h"
#include "kernels/libraries/algorithm_key.h"
#include "kernels/libraries/cudnn/check.h"

namespace msd::cudnn {

inline void destroy_descriptor(cudnnBackendDescriptor_t descriptor) noexcept {
  cudnnBackendDestroyDescriptor(descriptor);
}

/// One backend descriptor; set its attributes, then finalize.
class Descriptor {
 public:
  explicit Descriptor(cudnnBackendDescriptorType_t type);
  cudnnBackendDescriptor_t get() const { return handle_.get(); }

  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t count,
           const void* values);
  template <typename T>
  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, const T& value) {
    set(name, type, 1, &value);
  }
  void set(cudnnBackendAttributeName_t name, const Descriptor& child);
  void set(cudnnBackendAttributeName_t name, cudnnBackendDescriptor_t child);
  void finalize();

 private:
  cuda::UniqueHandle<cudnnBackendDescriptor_t, destroy_descriptor> handle_;
};

/// What a variant pack binds to a tensor of a graph.
struct Binding {
  std::int64_t id;
  const void* data;
};

/// A graph as cuDNN runs it: a finalized execution plan and what it was made from.
class CompiledGraph {
 public:
  CompiledGraph(Descriptor plan, std::deque<Descriptor> parts, std::int64_t workspace_bytes)
      : plan_(std::move(plan)), parts_(std::move(parts)), workspace_bytes_(workspace_bytes) {}
  std::int64_t workspace_bytes() const { return workspace_bytes_; }
  /// Submits it to the handle's stream.
  void run(cudnnHandle_t handle, std::initializer_list<Binding> bindings, void* workspace) const;

 private:
  Descriptor plan_;
  std::deque<Descriptor> parts_;  // kept, as the API doesn't say that a plan copies them
  std::int64_t workspace_bytes_;
};

using Extents = std::array<std::int64_t, 4>;  // n, c, h, w
struct TensorSpec {
  std::int64_t id;
  cudnnDataType_t type;
  Extents extents, strides;
  std::int64_t alignment_bytes = 16;
  bool is_virtual = false, by_value = false;
};

/// An NHWC view with a pitch.
TensorSpec activation(std::int64_t id, DType dtype, std::int64_t n, std::int64_t h, std::int64_t w,
                      std::int64_t c, const cuda::OperandLayout& layout);
/// [count] floats, one a channel.
TensorSpec channel_vector(std::int64_t id, std::int64_t count);

class Graph {
 public:
  /// Operations that share a tensor share its descriptor.
  cudnnBackendDescriptor_t tensor(const TensorSpec& spec);
  Descriptor& part(cudnnBackendDescriptorType_t type);
  /// A part that is one of the graph's operations.
  Descriptor& operation(cudnnBackendDescriptorType_t type);
  /// y = max(x, 0), or x + b, in float.
  void pointwise(cudnnPointwiseMode_t mode, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t b,
                 cudnnBackendDescriptor_t y);

  /// The first plan of cuDNN's heuristics that needs at most so much workspace, is repeatable, and
  /// keeps the precision of the problem: no factors rounded below their type (float to tf32 only
  /// with `tf32`), no sums below float. Throws where there is none. The graph is empty afterwards.
  CompiledGraph compile(cudnnHandle_t handle, bool rounds_floats,
                        std::int64_t most_workspace_bytes);

 private:
  std::deque<Descriptor> parts_;  // references into it stay valid
  std::vector<cudnnBackendDescriptor_t> operations_;
};

cudnnDataType_t data_type(DType dtype);

}  // namespace msd::cudnn
