// SPDX-License-Identifier: MIT
// Batch norm by cuDNN. Forward: normalisation and ReLU in one plan, or one after the other, ReLU in
// place. Backward: without ReLU only, whose mask is taken from y, which the op's contract doesn't
// hand on; and not in place, of which cuDNN says nothing. So training with this engine's networks
// gets forward only, and that where x and y have one pitch, which cuDNN asks for. Statistics in
// float. Never ran on a GPU yet.
#include "kernels/libraries/cudnn/session.h"

namespace msd::cudnn {
namespace {

using cuda::AlgorithmKey;

enum Id : std::int64_t {
  kX = 1,
  kY,
  kDx,
  kNormalised,
  kScale,
  kShift,
  kMean,
  kInvstd,
  kMeanIn,
  kVarIn,
  kMeanOut,
  kVarOut,
  kEpsilon,
  kMomentum,
  kDscale,
  kDshift
};

/// One float that a run passes by its address in host memory.
TensorSpec number(std::int64_t id) {
  TensorSpec spec = channel_vector(id, 1);
  spec.by_value = true;
  return spec;
}

void normalisation(Graph& graph, const AlgorithmKey& p, cudnnBackendDescriptor_t to) {
  const auto vector = [&](std::int64_t id) { return graph.tensor(channel_vector(id, p.cout)); };
  const auto x = graph.tensor(activation(kX, p.dtype, p.n, p.h, p.w, p.cin, p.x));
  const auto scale = vector(kScale), shift = vector(kShift), mean = vector(kMean);
  const auto invstd = vector(kInvstd), mean_in = vector(kMeanIn), var_in = vector(kVarIn);
  const auto mean_out = vector(kMeanOut), var_out = vector(kVarOut);
  const auto epsilon = graph.tensor(number(kEpsilon)), momentum = graph.tensor(number(kMomentum));
  Descriptor& op = graph.operation(CUDNN_BACKEND_OPERATION_NORM_FORWARD_DESCRIPTOR);
  op.set(CUDNN_ATTR_OPERATION_NORM_FWD_MODE, CUDNN_TYPE_NORM_MODE, CUDNN_BATCH_NORM);
  op.set(CUDNN_ATTR_OPERATION_NORM_FWD_PHASE, CUDNN_TYPE_NORM_FWD_PHASE, CUDNN_NORM_FWD_TRAINING);
  op.set(CUDNN_ATTR_OPERATION_NORM_FWD_XDESC, x);
  op.set(CUDNN_ATTR_OPERATION_NORM_FWD_YDESC, to);
  op.set(CUDNN_ATTR_OPERATION_NORM_FWD_SCALE_DESC, scale);
  op.set(CUDNN_ATTR_OPERATION_NORM_FWD_BIAS_DESC, shift);
  op.set(CUDNN_ATTR_OPERATION_NORM_FWD_MEAN_DESC, mean);
  op.set(CUDNN_ATTR_OPERATION_NORM_FWD_INV_VARIANCE_DESC, invstd);
  op.set(CUDNN_ATTR_OPERATION_NORM_FWD_EPSILON_DESC, epsilon);
  op.set(CUDNN_ATTR_OPERATION_NORM_FWD_EXP_AVG_FACTOR_DESC, momentum);
  op.set(CUDNN_ATTR_OPERATION_NORM_FWD_INPUT_RUNNING_MEAN_DESC, mean_in);
  op.set(CUDNN_ATTR_OPERATION_NORM_FWD_INPUT_RUNNING_VAR_DESC, var_in);
  op.set(CUDNN_ATTR_OPERATION_NORM_FWD_OUTPUT_RUNNING_MEAN_DESC, mean_out);
  op.set(CUDNN_ATTR_OPERATION_NORM_FWD_OUTPUT_RUNNING_VAR_DESC, var_out);
  op.finalize();
}

std::vector<CompiledGraph> compile_forward(const Session& session, const AlgorithmKey& p,
                                           std::int64_t most_bytes) {
  const cudnnHandle_t handle = session.cudnn.get();
  const TensorSpec y = activation(kY, p.dtype, p.n, p.h, p.w, p.cout, p.y);
  std::vector<CompiledGraph> graphs;
  if (p.relu) {
    try {
      Graph graph;
      TensorSpec between = y;
      between.id = kNormalised, between.is_virtual = true, between.type = CUDNN_DATA_FLOAT;
      const auto normalised = graph.tensor(between);
      normalisation(graph, p, normalised);
      graph.pointwise(CUDNN_POINTWISE_RELU_FWD, normalised, nullptr, graph.tensor(y));
      graphs.push_back(graph.compile(handle, true, most_bytes));
      return graphs;
    } catch (const CudaError&) {  // no engine does both; two plans then
    }
  }
  Graph graph;
  normalisation(graph, p, graph.tensor(y));
  graphs.push_back(graph.compile(handle, true, most_bytes));
  if (p.relu) {
    Graph relu;
    TensorSpec from = y;
    from.id = kNormalised;
    relu.pointwise(CUDNN_POINTWISE_RELU_FWD, relu.tensor(from), nullptr, relu.tensor(y));
    graphs.push_back(relu.compile(handle, true, most_bytes));
  }
  return graphs;
}

CompiledGraph compile_backward(const Session& session, const AlgorithmKey& p,
                               std::int64_t most_bytes) {
  if (p.relu) throw CudaError("the mask of ReLU is not part of cuDNN's operation");
  if (p.overlap) throw CudaError("cuDNN doesn't promise to work in place");
  Graph graph;
  const auto vector = [&](std::int64_t id) { return graph.tensor(channel_vector(id, p.cout)); };
  const auto x = graph.tensor(activation(kX, p.dtype, p.n, p.h, p.w, p.cin, p.x));
  const auto dy = graph.tensor(activation(kY, p.dtype, p.n, p.h, p.w, p.cout, p.y));
  const auto dx = graph.tensor(activation(kDx, p.dtype, p.n, p.h, p.w, p.cin, p.dx));
  const auto scale = vector(kScale), mean = vector(kMean), invstd = vector(kInvstd);
  const auto dscale = vector(kDscale), dshift = vector(kDshift);
  Descriptor& op = graph.operation(CUDNN_BACKEND_OPERATION_NORM_BACKWARD_DESCRIPTOR);
  op.set(CUDNN_ATTR_OPERATION_NORM_BWD_MODE, CUDNN_TYPE_NORM_MODE, CUDNN_BATCH_NORM);
  op.set(CUDNN_ATTR_OPERATION_NORM_BWD_XDESC, x);
  op.set(CUDNN_ATTR_OPERATION_NORM_BWD_DYDESC, dy);
  op.set(CUDNN_ATTR_OPERATION_NORM_BWD_DXDESC, dx);
  op.set(CUDNN_ATTR_OPERATION_NORM_BWD_SCALE_DESC, scale);
  op.set(CUDNN_ATTR_OPERATION_NORM_BWD_MEAN_DESC, mean);
  op.set(CUDNN_ATTR_OPERATION_NORM_BWD_INV_VARIANCE_DESC, invstd);
  op.set(CUDNN_ATTR_OPERATION_NORM_BWD_DSCALE_DESC, dscale);
  op.set(CUDNN_ATTR_OPERATION_NORM_BWD_DBIAS_DESC, dshift);
  op.finalize();
  return graph.compile(session.cudnn.get(), true, most_bytes);
}

}  // namespace

std::vector<CompiledGraph> compile_batchnorm(const Session& session, const AlgorithmKey& p,
                                             std::int64_t most_bytes) {
  if (p.dtype == DType::f64) throw CudaError("statistics are in float here");
  if (p.op == cuda::ChoosableOp::batchnorm_forward) return compile_forward(session, p, most_bytes);
  std::vector<CompiledGraph> graphs;
  graphs.push_back(compile_backward(session, p, most_bytes));
  return graphs;
}

void run_batchnorm(const Session& session, const AlgorithmKey& p,
                   const std::vector<CompiledGraph>& graphs, const cuda::Operands& o) {
  const cudnnHandle_t handle = session.cudnn.get();
  if (p.op == cuda::ChoosableOp::batchnorm_backward) {
    graphs.front().run(handle,
                       {{kX, o.x},
                        {kY, o.dy},
                        {kDx, o.dx},
                        {kScale, o.gamma},
                        {kMean, o.mean},
                        {kInvstd, o.invstd},
                        {kDscale, o.dgamma},
                        {kDshift, o.dbeta}},
                       o.workspace);
    return;
  }
  const auto epsilon = static_cast<float>(o.epsilon), momentum = static_cast<float>(o.momentum);
  graphs.front().run(handle,
                     {{kX, o.x},
                      {kY, o.y},
                      {kScale, o.gamma},
                      {kShift, o.beta},
                      {kMean, o.mean},
                      {kInvstd, o.invstd},
                      {kMeanIn, o.running_mean},
                      {kVarIn, o.running_var},
                      {kMeanOut, o.running_mean},
                      {kVarOut, o.running_var},
                      {kEpsilon, &epsilon},
                      {kMomentum, &momentum}},
                     o.workspace);
  if (graphs.size() > 1) graphs[1].run(handle, {{kNormalised, o.y}, {kY, o.y}}, o.workspace);
}

}  // namespace msd::cudnn
