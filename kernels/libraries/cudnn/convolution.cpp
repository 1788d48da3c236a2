// SPDX-License-Identifier: MIT
// Convolutions by cuDNN: forward with bias and ReLU in one plan, backward for data, for weights.
// Activations keep their pitch; weights come dense, as cuDNN's engines for NHWC want them. What no
// engine takes (a slice at an odd element, say) has no plan. Sums in float.
// Never ran on a GPU yet.
#include "kernels/libraries/cudnn/session.h"

namespace msd::cudnn {
namespace {

using cuda::AlgorithmKey;
using cuda::ChoosableOp;

enum Id : std::int64_t { kX = 1, kY, kWeight, kBias, kConv, kSum };

/// [cout][kh][kw][cin].
TensorSpec weights(const AlgorithmKey& p, cudnnDataType_t type) {
  const std::int64_t k = p.kernel;
  return {.id = kWeight,
          .type = type,
          .extents = {p.cout, p.cin, k, k},
          .strides = {k * k * p.cin, 1, k * p.cin, p.cin},
          .alignment_bytes = p.op == ChoosableOp::conv_backward_weight ? p.weight_alignment_bytes
                                                                       : 16};  // in the workspace
}

Descriptor& convolution(Graph& graph, const AlgorithmKey& p) {
  Descriptor& c = graph.part(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  const std::int64_t stride[] = {p.stride, p.stride}, padding[] = {p.padding, p.padding};
  const std::int64_t dilation[] = {1, 1};
  c.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT);
  c.set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, CUDNN_CROSS_CORRELATION);
  c.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, std::int64_t{2});
  c.set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, stride);
  c.set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, padding);
  c.set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, padding);
  c.set(CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilation);
  c.finalize();
  return c;
}

void forward(Graph& graph, const AlgorithmKey& p, cudnnBackendDescriptor_t conv,
             cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t w, const TensorSpec& y_spec) {
  // Sums stay in float until y.
  TensorSpec inner = y_spec;
  inner.type = CUDNN_DATA_FLOAT;
  inner.is_virtual = true;
  const auto next = [&](bool last, std::int64_t id) {
    inner.id = id;
    return graph.tensor(last ? y_spec : inner);
  };
  const cudnnBackendDescriptor_t product = next(!p.bias && !p.relu, kConv);
  Descriptor& op = graph.operation(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
  op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, conv);
  op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x);
  op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w);
  op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, product);
  op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, 1.0f);
  op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, 0.0f);
  op.finalize();
  cudnnBackendDescriptor_t last = product;
  if (p.bias) {
    const cudnnBackendDescriptor_t bias = graph.tensor(channel_vector(kBias, p.cout));
    const cudnnBackendDescriptor_t sum = next(!p.relu, kSum);
    graph.pointwise(CUDNN_POINTWISE_ADD, last, bias, sum);
    last = sum;
  }
  if (p.relu) graph.pointwise(CUDNN_POINTWISE_RELU_FWD, last, nullptr, graph.tensor(y_spec));
}

}  // namespace

std::vector<CompiledGraph> compile_convolution(const Session& session, const AlgorithmKey& p,
                                               std::int64_t most_bytes) {
  Graph graph;
  const cudnnBackendDescriptor_t conv = convolution(graph, p).get();
  const TensorSpec x = activation(kX, p.dtype, p.n, p.h, p.w, p.cin, p.x);
  const TensorSpec y = activation(kY, p.dtype, p.n, p.out_h, p.out_w, p.cout, p.y);
  if (p.op == ChoosableOp::conv_forward) {
    const cudnnBackendDescriptor_t w = graph.tensor(weights(p, data_type(p.dtype)));
    forward(graph, p, conv, graph.tensor(x), w, y);
  } else if (p.op == ChoosableOp::conv_backward_data) {
    const cudnnBackendDescriptor_t dx = graph.tensor(x), dy = graph.tensor(y);
    const cudnnBackendDescriptor_t w = graph.tensor(weights(p, data_type(p.dtype)));
    Descriptor& op = graph.operation(CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR);
    op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, conv);
    op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, dx);
    op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, dy);
    op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, w);
    op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_TYPE_FLOAT, 1.0f);
    op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, CUDNN_TYPE_FLOAT,
           p.accumulate ? 1.0f : 0.0f);
    op.finalize();
  } else {
    if (p.bias) throw CudaError("the gradient of a bias is not part of cuDNN's operation");
    const cudnnBackendDescriptor_t in = graph.tensor(x), dy = graph.tensor(y);
    const cudnnBackendDescriptor_t dw = graph.tensor(weights(p, CUDNN_DATA_FLOAT));
    Descriptor& op =
        graph.operation(CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR);
    op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, conv);
    op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, in);
    op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, dy);
    op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, dw);
    op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_TYPE_FLOAT, 1.0f);
    op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA, CUDNN_TYPE_FLOAT, 0.0f);
    op.finalize();
  }
  std::vector<CompiledGraph> graphs;
  graphs.push_back(
      graph.compile(session.cudnn.get(), p.tf32 || p.dtype == DType::bf16, most_bytes));
  return graphs;
}

void run_convolution(const Session& session, const AlgorithmKey& p,
                     const std::vector<CompiledGraph>& graphs, const cuda::Operands& o) {
  const bool data = p.op == ChoosableOp::conv_backward_data;
  const bool forward = p.op == ChoosableOp::conv_forward;
  graphs.front().run(session.cudnn.get(),
                     {{kX, data ? o.dx : o.x},
                      {kY, forward ? o.y : o.dy},
                      {kWeight, data || forward ? o.weight : o.dw},
                      {kBias, o.bias}},
                     o.workspace);
}

}  // namespace msd::cudnn
