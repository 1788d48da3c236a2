// SPDX-License-Identifier: MIT
#include "kernels/libraries/cudnn/backend.h"

#include <algorithm>

namespace msd::cudnn {
namespace {

cudnnBackendDescriptor_t make(cudnnBackendDescriptorType_t type) {
  cudnnBackendDescriptor_t descriptor = nullptr;
  MSD_CUDNN_CHECK(cudnnBackendCreateDescriptor(type, &descriptor));
  return descriptor;
}

/// The heuristic's engine configurations, best first; none where the mode has no opinion.
std::vector<Descriptor> configurations(const Descriptor& graph, cudnnBackendHeurMode_t mode) {
  std::vector<Descriptor> found;
  Descriptor heuristic(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, mode);
  if (cudnnBackendFinalize(heuristic.get()) != CUDNN_STATUS_SUCCESS) return found;
  std::int64_t count = 0;
  if (cudnnBackendGetAttribute(heuristic.get(), CUDNN_ATTR_ENGINEHEUR_RESULTS,
                               CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &count,
                               nullptr) != CUDNN_STATUS_SUCCESS) {
    return found;
  }
  std::vector<cudnnBackendDescriptor_t> handles;
  for (std::int64_t i = 0; i < count; ++i) {
    found.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    handles.push_back(found.back().get());
  }
  MSD_CUDNN_CHECK(cudnnBackendGetAttribute(heuristic.get(), CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                           CUDNN_TYPE_BACKEND_DESCRIPTOR, count, &count,
                                           handles.data()));
  found.erase(found.begin() + static_cast<std::ptrdiff_t>(count), found.end());
  return found;
}

/// Whether the engine is repeatable and rounds nothing that it must not.
bool is_acceptable(const Descriptor& configuration, bool rounds_floats) {
  const Descriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  cudnnBackendDescriptor_t handle = engine.get();
  std::int64_t count = 0;
  MSD_CUDNN_CHECK(cudnnBackendGetAttribute(configuration.get(), CUDNN_ATTR_ENGINECFG_ENGINE,
                                           CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count, &handle));
  std::array<cudnnBackendNumericalNote_t, CUDNN_NUMERICAL_NOTE_TYPE_COUNT> notes;
  MSD_CUDNN_CHECK(cudnnBackendGetAttribute(engine.get(), CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
                                           CUDNN_TYPE_NUMERICAL_NOTE,
                                           CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &count, notes.data()));
  return std::none_of(notes.begin(), notes.begin() + static_cast<std::ptrdiff_t>(count),
                      [&](cudnnBackendNumericalNote_t note) {
                        switch (note) {
                          case CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC:
                          case CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS:
                          case CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION:
                          // Transformed factors lose digits that the sums' tolerances don't allow.
                          case CUDNN_NUMERICAL_NOTE_WINOGRAD:
                          case CUDNN_NUMERICAL_NOTE_FFT:
                            return true;
                          // On floats these instructions read tf32.
                          case CUDNN_NUMERICAL_NOTE_TENSOR_CORE:
                            return !rounds_floats;
                          default:
                            return false;
                        }
                      });
}

}  // namespace

Descriptor::Descriptor(cudnnBackendDescriptorType_t type) : handle_(make(type)) {}

void Descriptor::set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                     std::int64_t count, const void* values) {
  MSD_CUDNN_CHECK(cudnnBackendSetAttribute(get(), name, type, count, values));
}
void Descriptor::set(cudnnBackendAttributeName_t name, cudnnBackendDescriptor_t child) {
  set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &child);
}
void Descriptor::set(cudnnBackendAttributeName_t name, const Descriptor& child) {
  set(name, child.get());
}
void Descriptor::finalize() { MSD_CUDNN_CHECK(cudnnBackendFinalize(get())); }

void CompiledGraph::run(cudnnHandle_t handle, std::initializer_list<Binding> bindings,
                        void* workspace) const {
  std::vector<std::int64_t> ids;
  std::vector<const void*> data;
  for (const Binding& binding : bindings) {
    if (binding.data == nullptr) continue;  // no such tensor in this graph
    ids.push_back(binding.id);
    data.push_back(binding.data);
  }
  const auto count = static_cast<std::int64_t>(ids.size());
  Descriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, ids.data());
  pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count, data.data());
  pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, workspace);
  pack.finalize();
  MSD_CUDNN_CHECK(cudnnBackendExecute(handle, plan_.get(), pack.get()));
}

TensorSpec activation(std::int64_t id, DType dtype, std::int64_t n, std::int64_t h, std::int64_t w,
                      std::int64_t c, const cuda::OperandLayout& layout) {
  return {.id = id,
          .type = data_type(dtype),
          .extents = {n, c, h, w},
          .strides = {h * w * layout.pitch, 1, w * layout.pitch, layout.pitch},
          .alignment_bytes = layout.alignment_bytes};
}

TensorSpec channel_vector(std::int64_t id, std::int64_t count) {
  // Parameters lie 64 bytes apart at least, gradients of slices too; 4 is what a float needs.
  return {.id = id,
          .type = CUDNN_DATA_FLOAT,
          .extents = {1, count, 1, 1},
          .strides = {count, 1, count, count},
          .alignment_bytes = 4};
}

cudnnBackendDescriptor_t Graph::tensor(const TensorSpec& spec) {
  Descriptor& tensor = part(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  tensor.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, spec.id);
  tensor.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, spec.type);
  tensor.set(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, spec.extents.data());
  tensor.set(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, spec.strides.data());
  tensor.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, spec.alignment_bytes);
  if (spec.is_virtual) tensor.set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, true);
  if (spec.by_value) tensor.set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, true);
  tensor.finalize();
  return tensor.get();
}

Descriptor& Graph::part(cudnnBackendDescriptorType_t type) { return parts_.emplace_back(type); }

Descriptor& Graph::operation(cudnnBackendDescriptorType_t type) {
  Descriptor& operation = part(type);
  operations_.push_back(operation.get());
  return operation;
}

void Graph::pointwise(cudnnPointwiseMode_t mode, cudnnBackendDescriptor_t x,
                      cudnnBackendDescriptor_t b, cudnnBackendDescriptor_t y) {
  Descriptor& how = part(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  how.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, mode);
  how.set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT);
  how.finalize();
  Descriptor& run = operation(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  run.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how);
  run.set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
  if (b != nullptr) run.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
  run.set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
  run.finalize();
}

CompiledGraph Graph::compile(cudnnHandle_t handle, bool rounds_floats,
                             std::int64_t most_workspace_bytes) {
  Descriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, handle);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
            static_cast<std::int64_t>(operations_.size()), operations_.data());
  graph.finalize();
  for (const auto mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) {
    for (Descriptor& configuration : configurations(graph, mode)) {
      if (!is_acceptable(configuration, rounds_floats)) continue;
      Descriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
      plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, handle);
      plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configuration);
      if (cudnnBackendFinalize(plan.get()) != CUDNN_STATUS_SUCCESS) continue;  // can't do it
      std::int64_t count = 0, workspace_bytes = 0;
      MSD_CUDNN_CHECK(cudnnBackendGetAttribute(plan.get(), CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                               CUDNN_TYPE_INT64, 1, &count, &workspace_bytes));
      if (workspace_bytes > most_workspace_bytes) continue;
      std::deque<Descriptor> parts = std::move(parts_);
      parts.push_back(std::move(graph));
      parts.push_back(std::move(configuration));
      return CompiledGraph(std::move(plan), std::move(parts), workspace_bytes);
    }
  }
  throw CudaError(message("cuDNN has no repeatable plan of this precision that needs at most ",
                          most_workspace_bytes, " bytes of workspace"));
}

cudnnDataType_t data_type(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return CUDNN_DATA_FLOAT;
    case DType::f64:
      return CUDNN_DATA_DOUBLE;
    case DType::bf16:
      return CUDNN_DATA_BFLOAT16;
    default:
      throw CudaError("no float type");
  }
}

}  // namespace msd::cudnn
