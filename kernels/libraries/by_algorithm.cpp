// SPDX-License-Identifier: MIT
#include "kernels/libraries/by_algorithm.h"

#include <algorithm>

#include "kernels/libraries/algorithms.h"

namespace msd::cuda {
namespace {

/// The largest power of two up to 16 that divides the address.
std::int64_t alignment_of(const void* data) {
  const auto address = reinterpret_cast<std::uintptr_t>(data);
  return address == 0
             ? 16
             : static_cast<std::int64_t>(std::min<std::uintptr_t>(16, address & (~address + 1)));
}

OperandLayout layout_of(const ConstView& view) { return {view.pitch, alignment_of(view.data)}; }

/// `x` and `y`: input and output of the op, or their gradients.
AlgorithmKey key_of_views(ChoosableOp op, const ConstView& x, const ConstView& y,
                          const Context& context) {
  AlgorithmKey p;
  p.op = op;
  p.dtype = x.dtype;
  p.n = x.n, p.h = x.h, p.w = x.w;
  p.out_h = y.h, p.out_w = y.w;
  p.cin = x.c, p.cout = y.c;
  p.x = layout_of(x), p.y = layout_of(y);
  p.tf32 = context.allow_tf32 && x.dtype == DType::f32;
  return p;
}

AlgorithmKey convolution_of(ChoosableOp op, const ConstView& x, const ConstView& y,
                            const ConvGeometry& geometry, const Context& context) {
  AlgorithmKey p = key_of_views(op, x, y, context);
  p.kernel = geometry.kernel, p.stride = geometry.stride, p.padding = geometry.padding;
  return p;
}

std::span<std::byte> bytes_at(void* data, std::int64_t bytes) {
  return {static_cast<std::byte*>(data),
          static_cast<std::size_t>(std::max<std::int64_t>(0, bytes))};
}

}  // namespace

AlgorithmKey key_of_op(const ConvForwardArgs& args, const Context& context) {
  AlgorithmKey p =
      convolution_of(ChoosableOp::conv_forward, args.x, args.y, args.geometry, context);
  p.bias = args.bias != nullptr;
  p.relu = args.relu;
  p.statistics = args.statistics != nullptr;
  p.weight_alignment_bytes = alignment_of(args.packed);
  return p;
}
AlgorithmKey key_of_op(const ConvBackwardDataArgs& args, const Context& context) {
  AlgorithmKey p =
      convolution_of(ChoosableOp::conv_backward_data, args.dx, args.dy, args.geometry, context);
  p.accumulate = args.accumulate;
  p.weight_alignment_bytes = alignment_of(args.packed);
  return p;
}
AlgorithmKey key_of_op(const ConvBackwardWeightArgs& args, const Context& context) {
  AlgorithmKey p =
      convolution_of(ChoosableOp::conv_backward_weight, args.x, args.dy, args.geometry, context);
  p.bias = args.dbias != nullptr;
  p.weight_alignment_bytes = alignment_of(args.dw);
  return p;
}
AlgorithmKey key_of_op(const BatchNormForwardArgs& args, const Context& context) {
  AlgorithmKey p = key_of_views(ChoosableOp::batchnorm_forward, args.x, args.y, context);
  p.relu = args.relu;
  p.statistics = args.statistics != nullptr && args.statistics->of.data != nullptr;
  return p;
}
AlgorithmKey key_of_op(const BatchNormBackwardArgs& args, const Context& context) {
  AlgorithmKey p = key_of_views(ChoosableOp::batchnorm_backward, args.x, args.dy, context);
  p.dx = layout_of(args.dx);
  p.relu = args.relu;
  p.overlap = args.dx.data == args.x.data || args.dx.data == args.dy.data;
  return p;
}
AlgorithmKey key_of_op(const LinearForwardArgs& args, const Context& context) {
  AlgorithmKey p = key_of_views(ChoosableOp::linear_forward, args.x, args.y, context);
  p.bias = true;
  p.weight_alignment_bytes = alignment_of(args.weight);
  return p;
}
AlgorithmKey key_of_op(const LinearBackwardArgs& args, const Context& context) {
  AlgorithmKey p = key_of_views(ChoosableOp::linear_backward, args.x, args.dy, context);
  if (args.dx.data != nullptr) p.dx = layout_of(args.dx);
  p.bias = true;
  p.accumulate = args.accumulate;
  p.weight_alignment_bytes = std::min(alignment_of(args.weight), alignment_of(args.dw));
  return p;
}

Operands operands_of(const ConvForwardArgs& args) {
  return {.x = args.x.data, .weight = args.packed, .bias = args.bias, .y = args.y.data};
}
Operands operands_of(const ConvBackwardDataArgs& args) {
  return {.dy = args.dy.data, .weight = args.packed, .dx = args.dx.data};
}
Operands operands_of(const ConvBackwardWeightArgs& args) {
  return {.x = args.x.data, .dy = args.dy.data, .dw = args.dw, .dbias = args.dbias};
}
Operands operands_of(const BatchNormForwardArgs& args) {
  return {.x = args.x.data,
          .y = args.y.data,
          .gamma = args.gamma,
          .beta = args.beta,
          .running_mean = args.running_mean,
          .running_var = args.running_var,
          .mean = args.saved_mean,
          .invstd = args.saved_invstd,
          .momentum = args.momentum,
          .epsilon = args.epsilon};
}
Operands operands_of(const BatchNormBackwardArgs& args) {
  return {.x = args.x.data,
          .dy = args.dy.data,
          .dx = args.dx.data,
          .gamma = args.gamma,
          .beta = args.beta,
          .mean = const_cast<void*>(args.saved_mean),
          .invstd = const_cast<void*>(args.saved_invstd),
          .dgamma = args.dgamma,
          .dbeta = args.dbeta};
}
Operands operands_of(const LinearForwardArgs& args) {
  return {.x = args.x.data, .weight = args.weight, .bias = args.bias, .y = args.y.data};
}
Operands operands_of(const LinearBackwardArgs& args) {
  return {.x = args.x.data,
          .dy = args.dy.data,
          .weight = args.weight,
          .dx = args.dx.data,
          .dw = args.dw,
          .dbias = args.dbias};
}

std::vector<std::span<std::byte>> written_by(const AlgorithmKey& p, const Operands& operands) {
  const std::int64_t elem = size_bytes(p.dtype), sum = size_bytes(accumulator_of(p.dtype));
  const auto rows_bytes = [&](std::int64_t rows, std::int64_t pitch, std::int64_t channels) {
    return rows == 0 ? 0 : ((rows - 1) * pitch + channels) * elem;
  };
  std::vector<std::span<std::byte>> written;
  const auto add = [&](void* data, std::int64_t bytes) {
    if (data != nullptr && bytes > 0) written.push_back(bytes_at(data, bytes));
  };
  const std::int64_t dx_pitch = p.op == ChoosableOp::conv_backward_data ? p.x.pitch : p.dx.pitch;
  add(operands.y, rows_bytes(p.out_rows(), p.y.pitch, p.cout));
  add(operands.dx, rows_bytes(p.rows(), dx_pitch, p.cin));
  add(operands.dw, p.cout * p.kernel * p.kernel * p.cin * sum);
  for (void* vector : {operands.dbias, operands.running_mean, operands.running_var, operands.dgamma,
                       operands.dbeta}) {
    add(vector, p.cout * sum);
  }
  if (p.op == ChoosableOp::batchnorm_forward) {
    add(operands.mean, p.cout * sum);
    add(operands.invstd, p.cout * sum);
  }
  return written;
}

bool run_otherwise(Context& context, const AlgorithmKey& key, const Operands& operands,
                   const std::function<void()>& handwritten) {
  AlgorithmChooser& chooser = *context.algorithms;
  const auto run = [&](const Candidate* candidate) {
    if (candidate == nullptr) {
      handwritten();
      return;
    }
    Operands ready = operands;
    ready.workspace = context.workspace;
    if (candidate->dense_weight) {
      unpack_weights(context, key, operands.weight, context.workspace);
      ready.weight = context.workspace;
      ready.workspace = static_cast<char*>(context.workspace) + dense_weight_bytes(key);
    }
    chooser.plugin().run(*candidate, key, ready);
  };
  const std::optional<const Candidate*> known = chooser.known(key);
  const Candidate* candidate =
      known ? *known : chooser.choose(key, context.capturing, written_by(key, operands), run);
  if (candidate != nullptr) run(candidate);
  return candidate != nullptr;
}

}  // namespace msd::cuda
