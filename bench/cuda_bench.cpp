// SPDX-License-Identifier: MIT
// The convolutions and batch norms of nets A (cifar10-anytime10), D (cifar100-batch5) and E
// (imagenet-k4) at batch 64, each distinct shape once, and SGD over the parameters of A and E:
//   cuda/conv_<pass>/<net>/<k>x<k>[s<stride>]/<h>x<w>/<cin>to<cout>/<precision>/sets:<1|0>, and
//   with /cudnn or /cublaslt behind the precision where the plugin opens
//   cuda/batchnorm_<pass>/<net>/<h>x<w>/<channels>/<type>/sets:<1|0>
// Views have the pitches they have in the network. Timed with CUDA events. sets:1 works on one set
// of operands, which stays in L2 where it fits; sets:0 cycles through so many that they do not.
// Bytes are those the formula needs, each operand once a pass. of_copy: bytes/s as a share of a
// device-to-device copy's of 1 GiB, the memory's roof. Never ran on a GPU yet.
#include <cstdint>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <variant>

#include "bench/cuda_bench.h"
#include "kernels/error.h"
#include "models/network/architecture.h"

namespace msd::bench {
namespace {

constexpr std::int64_t kBatch = 64;

struct ConvShape {
  std::int64_t size, x_channels;  // of the buffer whose slice x is
  ConvGeometry g;
  bool image;  // x has no gradient
};

enum class Conv { forward, backward_data, backward_weight };
const char* name(Conv op) {
  return op == Conv::forward         ? "conv_forward"
         : op == Conv::backward_data ? "conv_backward_data"
                                     : "conv_backward_weight";
}

const msd::cuda::PluginTable* plugin() {
  static const msd::cuda::FoundPlugin found = msd::cuda::open_plugin();
  return found.table;
}

/// algorithm: "" for handwritten.
void convolution(benchmark::State& state, Conv op, const ConvShape& s, Precision precision,
                 const std::string& algorithm) {
  Gpu gpu;
  if (!algorithm.empty()) gpu.use(*plugin(), message(name(op), "=", algorithm));
  gpu.allow_tf32(precision == Precision::tf32);
  const DType dtype = activations(precision);
  const std::int64_t out = s.g.out_size(s.size), bytes_each = msd::size_bytes(dtype);
  const std::int64_t x_pitch = msd::row_pitch(s.x_channels, dtype);
  const std::int64_t y_pitch = msd::row_pitch(s.g.cout, dtype);
  const std::int64_t x_rows = kBatch * s.size * s.size, y_rows = kBatch * out * out;
  // Features that several layers read collect their gradients.
  const bool accumulate = op == Conv::backward_data && s.x_channels > s.g.cin;
  const std::int64_t bytes =
      bytes_each * (x_rows * s.g.cin * (accumulate ? 2 : 1) + y_rows * s.g.cout) +
      s.g.weight_elems() * (op == Conv::backward_weight ? 4 : bytes_each);
  const std::int64_t sets = sets_of(state, bytes);
  const Operands x(sets, x_rows * x_pitch, dtype), y(sets, y_rows * y_pitch, dtype);
  const Memory weight = random_memory(s.g.weight_elems(), DType::f32);
  const ConvPass pass = op == Conv::forward ? ConvPass::forward : ConvPass::backward_data;
  const Memory packed = random_memory(conv_packed_elems(s.g, pass), dtype);
  const msd::ConvPackArgs pack{weight.get(), packed.get(), s.g, pass, dtype};
  msd::conv_pack(gpu.context(), {&pack, 1});
  const std::int64_t workspace_bytes =
      msd::conv_backward_weight_workspace_bytes(s.g, kBatch, s.size, s.size, dtype);
  const Memory workspace = random_memory(workspace_bytes / 4, DType::f32);
  const double mul_adds = static_cast<double>(y_rows * s.g.weight_elems());
  const auto run = [&](std::int64_t i) {
    const View x_view{x[i], dtype, kBatch, s.size, s.size, s.g.cin, x_pitch};
    const View y_view{y[i], dtype, kBatch, out, out, s.g.cout, y_pitch};
    if (op == Conv::forward) {
      const msd::ConvForwardArgs args{x_view, packed.get(), nullptr, y_view, s.g, true};
      msd::conv_forward(gpu.context(), {&args, 1});
    } else if (op == Conv::backward_data) {
      const msd::ConvBackwardDataArgs args{y_view, packed.get(), x_view, s.g, accumulate};
      msd::conv_backward_data(gpu.context(), {&args, 1});
    } else {
      const msd::ConvBackwardWeightArgs args{x_view, y_view,          weight.get(),   nullptr,
                                             s.g,    workspace.get(), workspace_bytes};
      msd::conv_backward_weight(gpu.context(), {&args, 1});
    }
  };
  run(0);
  if (const std::string reason = gpu.why_not(); !reason.empty()) {
    state.SkipWithError(reason.c_str());
    return;
  }
  measure(state, gpu, sets, bytes, mul_adds, run);
}

struct NormShape {
  std::int64_t size, c, y_channels;  // of the buffer whose slice y is
};

enum class Norm { forward, backward, inference };

void batchnorm(benchmark::State& state, Norm op, const NormShape& s, DType dtype) {
  Gpu gpu;
  const std::int64_t rows = kBatch * s.size * s.size, dense = msd::row_pitch(s.c, dtype),
                     pitch = msd::row_pitch(s.y_channels, dtype);
  const std::int64_t bytes = rows * s.c * msd::size_bytes(dtype) *
                             (op == Norm::forward    ? 3
                              : op == Norm::backward ? 5
                                                     : 2);
  const std::int64_t sets = sets_of(state, bytes);
  const Operands x(sets, rows * dense, dtype), dy(sets, rows * pitch, dtype),
      out(sets, rows * pitch, dtype);
  const Memory channels = random_memory(8 * s.c, DType::f32);
  const auto channel = [&](std::int64_t which) {
    return static_cast<float*>(channels.get()) + which * s.c;
  };
  measure(state, gpu, sets, bytes, 0.0, [&](std::int64_t i) {
    const View in{x[i], dtype, kBatch, s.size, s.size, s.c, dense};
    const View slice{out[i], dtype, kBatch, s.size, s.size, s.c, pitch};
    const View gradient{dy[i], dtype, kBatch, s.size, s.size, s.c, pitch};
    if (op == Norm::forward) {
      const msd::BatchNormForwardArgs args{.x = in,
                                           .y = slice,
                                           .gamma = channel(0),
                                           .beta = channel(1),
                                           .running_mean = channel(2),
                                           .running_var = channel(3),
                                           .saved_mean = channel(4),
                                           .saved_invstd = channel(5)};
      msd::batchnorm_forward(gpu.context(), {&args, 1});
    } else if (op == Norm::backward) {
      const msd::BatchNormBackwardArgs args{.x = in,
                                            .dy = gradient,
                                            .dx = slice,
                                            .gamma = channel(0),
                                            .beta = channel(1),
                                            .saved_mean = channel(4),
                                            .saved_invstd = channel(5),
                                            .dgamma = channel(6),
                                            .dbeta = channel(7)};
      msd::batchnorm_backward(gpu.context(), {&args, 1});
    } else {
      const msd::BatchNormInferenceArgs args{.x = in,
                                             .y = slice,
                                             .gamma = channel(0),
                                             .beta = channel(1),
                                             .running_mean = channel(2),
                                             .running_var = channel(3)};
      msd::batchnorm_inference(gpu.context(), {&args, 1});
    }
  });
}

void sgd(benchmark::State& state, std::int64_t count) {
  Gpu gpu;
  const std::int64_t sets = sets_of(state, 20 * count);
  const Operands weight(sets, count, DType::f32), gradient(sets, count, DType::f32),
      velocity(sets, count, DType::f32);
  const auto lr = random_memory(1, DType::f64);
  measure(state, gpu, sets, 20 * count, 0.0, [&](std::int64_t i) {
    const msd::SgdArgs args{.weight = weight[i],
                            .gradient = gradient[i],
                            .velocity = velocity[i],
                            .count = count,
                            .lr = static_cast<const double*>(lr.get()),
                            .weight_decay = 1e-4};
    msd::sgd(gpu.context(), {&args, 1});
  });
}

void add_convolutions(const std::string& net, const Architecture& architecture) {
  std::set<std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t>> seen;
  for (const Operation& op : architecture.operations) {
    const auto* conv = std::get_if<Convolution>(&op.kind);
    if (conv == nullptr) continue;
    const FeatureBuffer& in = architecture.buffers[static_cast<std::size_t>(op.input.buffer)];
    const ConvShape s{in.size, in.channels, conv->geometry, op.input.buffer == 0};
    if (!seen.emplace(s.size, s.g.cin, s.g.cout, s.g.kernel, s.g.stride).second) continue;
    const std::string shape = message(net, "/", s.g.kernel, "x", s.g.kernel,
                                      s.g.stride == 1 ? "" : message("s", s.g.stride), "/", s.size,
                                      "x", s.size, "/", s.g.cin, "to", s.g.cout);
    for (const Conv pass : {Conv::forward, Conv::backward_data, Conv::backward_weight}) {
      if (pass == Conv::backward_data && s.image) continue;
      for (const Precision precision : kPrecisions) {
        const std::string title = message(name(pass), "/", shape, "/", name(precision));
        const auto by = [=](const std::string& algorithm) {
          add(algorithm.empty() ? title : title + "/" + algorithm,
              [=](benchmark::State& state) { convolution(state, pass, s, precision, algorithm); });
        };
        by("");
        if (plugin() == nullptr) continue;
        by("cudnn");
        if (s.g.kernel == 1 && s.g.stride == 1) by("cublaslt");
      }
    }
  }
}

void add_batchnorms(const std::string& net, const Architecture& architecture) {
  std::set<std::tuple<std::int64_t, std::int64_t>> seen;
  for (const Operation& op : architecture.operations) {
    if (!std::holds_alternative<Convolution>(op.kind)) continue;
    const FeatureBuffer& out = architecture.buffers[static_cast<std::size_t>(op.output.buffer)];
    const NormShape s{out.size, op.output.channels, out.channels};
    if (!seen.emplace(s.size, s.c).second) continue;
    for (const DType dtype : {DType::bf16, DType::f32}) {
      const auto one = [&](const char* op_name, Norm pass) {
        add(message(op_name, "/", net, "/", s.size, "x", s.size, "/", s.c, "/", name(dtype)),
            [=](benchmark::State& state) { batchnorm(state, pass, s, dtype); });
      };
      one("batchnorm_forward", Norm::forward);
      one("batchnorm_backward", Norm::backward);
      one("batchnorm_inference", Norm::inference);
    }
  }
}

[[maybe_unused]] const bool kRegistered = [] {
  for (const auto& [net, preset_name] :
       {std::pair{"A", "cifar10-anytime10"}, std::pair{"D", "cifar100-batch5"},
        std::pair{"E", "imagenet-k4"}}) {
    const Architecture architecture = make_architecture(preset(preset_name));
    add_convolutions(net, architecture);
    add_batchnorms(net, architecture);
  }
  for (const std::int64_t count : {4839544, 23958440}) {  // nets A and E
    add(message("sgd/f32/", count), [=](benchmark::State& state) { sgd(state, count); });
  }
  return true;
}();

}  // namespace
}  // namespace msd::bench
