// SPDX-License-Identifier: MIT
// The CUDA bodies at the shapes of net A (CIFAR, batch 64 and 256) and of ImageNet's branches:
//   cuda/<op>/<type>/<shape>/sets:<1|0>, and for convolutions, where the plugin opens,
//   cuda/<op>/<type>/<shape>/<cudnn|cublaslt>/sets:<1|0>
// Timed with CUDA events. sets:1 works on one set of operands, which stays in L2 where it fits;
// sets:0 cycles through so many that they do not. Bytes are those the formula needs, each operand
// once a pass. of_copy: bytes/s as a share of a device-to-device copy's of 1 GiB, the memory's
// roof. Without a GPU nothing is registered. Never ran on a GPU yet.
#include <cstdint>
#include <string>
#include <vector>

#include "bench/cuda_bench.h"
#include "kernels/cuda/device.h"

namespace msd::bench {
namespace {

struct ConvShape {
  std::int64_t n, size;
  ConvGeometry g;
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
void convolution(benchmark::State& state, Conv op, const ConvShape& s, DType dtype, bool tf32,
                 const std::string& algorithm) {
  Gpu gpu;
  if (!algorithm.empty()) gpu.use(*plugin(), msd::message(name(op), "=", algorithm));
  gpu.allow_tf32(tf32);
  const std::int64_t out = s.g.out_size(s.size), bytes_each = msd::size_bytes(dtype);
  // A 1x1 reads a prefix of a wider feature buffer, as in a network, and adds to its gradient.
  const std::int64_t x_pitch = msd::row_pitch(s.g.kernel == 1 ? s.g.cin + 24 : s.g.cin, dtype);
  const std::int64_t y_pitch = msd::row_pitch(s.g.cout, dtype);
  const std::int64_t x_rows = s.n * s.size * s.size, y_rows = s.n * out * out;
  const bool accumulate = op == Conv::backward_data && s.g.kernel == 1;
  const std::int64_t bytes =
      bytes_each * (x_rows * s.g.cin * (accumulate ? 2 : 1) + y_rows * s.g.cout) +
      s.g.weight_elems() * (op == Conv::backward_weight ? 4 : bytes_each);
  const std::int64_t sets = sets_of(state, bytes);
  std::vector<Memory> x, y;
  for (std::int64_t i = 0; i < sets; ++i) {
    x.push_back(random_memory(x_rows * x_pitch, dtype));
    y.push_back(random_memory(y_rows * y_pitch, dtype));
  }
  const Memory weight = random_memory(s.g.weight_elems(), DType::f32);
  const ConvPass pass = op == Conv::forward ? ConvPass::forward : ConvPass::backward_data;
  const Memory packed = random_memory(conv_packed_elems(s.g, pass), dtype);
  const msd::ConvPackArgs pack{weight.get(), packed.get(), s.g, pass, dtype};
  msd::conv_pack(gpu.context(), {&pack, 1});
  const std::int64_t workspace_bytes =
      msd::conv_backward_weight_workspace_bytes(s.g, s.n, s.size, s.size, dtype);
  const Memory workspace = random_memory(workspace_bytes / 4, DType::f32);
  const double mul_adds = static_cast<double>(y_rows * s.g.weight_elems());
  const auto run = [&](std::int64_t set) {
    const auto i = static_cast<std::size_t>(set);
    const View x_view{x[i].get(), dtype, s.n, s.size, s.size, s.g.cin, x_pitch};
    const View y_view{y[i].get(), dtype, s.n, out, out, s.g.cout, y_pitch};
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
  std::int64_t n, size, c, pitch;
};

enum class Norm { forward, backward, inference };

void batchnorm(benchmark::State& state, Norm op, const NormShape& s, DType dtype) {
  Gpu gpu;
  const std::int64_t rows = s.n * s.size * s.size, dense = msd::row_pitch(s.c, dtype);
  const std::int64_t bytes = rows * s.c * msd::size_bytes(dtype) *
                             (op == Norm::forward    ? 3
                              : op == Norm::backward ? 5
                                                     : 2);
  const std::int64_t sets = sets_of(state, bytes);
  std::vector<Memory> x, dy, out;
  for (std::int64_t i = 0; i < sets; ++i) {
    x.push_back(random_memory(rows * dense, dtype));
    dy.push_back(random_memory(rows * s.pitch, dtype));
    out.push_back(random_memory(rows * s.pitch, dtype));
  }
  const Memory channels = random_memory(8 * s.c, DType::f32);
  const auto channel = [&](std::int64_t which) {
    return static_cast<float*>(channels.get()) + which * s.c;
  };
  measure(state, gpu, sets, bytes, 0.0, [&](std::int64_t set) {
    const auto i = static_cast<std::size_t>(set);
    const View in{x[i].get(), dtype, s.n, s.size, s.size, s.c, dense};
    const View slice{out[i].get(), dtype, s.n, s.size, s.size, s.c, s.pitch};
    const View gradient{dy[i].get(), dtype, s.n, s.size, s.size, s.c, s.pitch};
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
  std::vector<Memory> weight, gradient, velocity;
  for (std::int64_t i = 0; i < sets; ++i) {
    for (auto* memory : {&weight, &gradient, &velocity}) {
      memory->push_back(random_memory(count, DType::f32));
    }
  }
  const auto lr = random_memory(1, DType::f64);
  measure(state, gpu, sets, 20 * count, 0.0, [&](std::int64_t set) {
    const auto i = static_cast<std::size_t>(set);
    const msd::SgdArgs args{.weight = weight[i].get(),
                            .gradient = gradient[i].get(),
                            .velocity = velocity[i].get(),
                            .count = count,
                            .lr = static_cast<const double*>(lr.get()),
                            .weight_decay = 1e-4};
    msd::sgd(gpu.context(), {&args, 1});
  });
}

const bool kRegistered = [] {
  if (msd::cuda::devices().empty()) return false;
  const ConvShape convolutions[] = {
      {64, 32, {40, 6, 1, 1, 0}},    {64, 32, {6, 6, 3, 1, 1}},    {64, 16, {106, 24, 1, 1, 0}},
      {64, 16, {24, 12, 3, 1, 1}},   {64, 8, {308, 48, 1, 1, 0}},  {64, 8, {96, 24, 3, 1, 1}},
      {64, 8, {308, 128, 3, 2, 1}},  {64, 32, {3, 16, 3, 1, 1}},   {256, 32, {40, 6, 1, 1, 0}},
      {64, 56, {64, 64, 1, 1, 0}},   {64, 56, {16, 16, 3, 1, 1}},  {64, 28, {64, 32, 3, 1, 1}},
      {64, 14, {384, 256, 1, 1, 0}}, {64, 14, {256, 64, 3, 1, 1}}, {64, 224, {3, 64, 7, 2, 3}}};
  for (const ConvShape& s : convolutions) {
    const std::string shape = msd::message(s.g.cin, "x", s.g.cout, "k", s.g.kernel, "s", s.g.stride,
                                           "/", s.size, "x", s.size, "/n", s.n);
    for (const Conv op : {Conv::forward, Conv::backward_data, Conv::backward_weight}) {
      const auto one = [&](const char* type, DType dtype, bool tf32) {
        const std::string title = msd::message(name(op), "/", type, "/", shape);
        const auto by = [=](const std::string& algorithm) {
          add(algorithm.empty() ? title : title + "/" + algorithm,
              [=](benchmark::State& state) { convolution(state, op, s, dtype, tf32, algorithm); });
        };
        by("");
        if (plugin() == nullptr) return;
        by("cudnn");
        if (s.g.kernel == 1 && s.g.stride == 1) by("cublaslt");
      };
      one("f32", DType::f32, false);
      one("tf32", DType::f32, true);
      one("bf16", DType::bf16, false);
    }
  }
  const NormShape norms[] = {{64, 32, 6, 64}, {64, 16, 24, 24}, {64, 8, 48, 48}, {64, 56, 64, 64}};
  for (const NormShape& s : norms) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      const auto one = [&](const char* op_name, Norm op) {
        add(msd::message(op_name, "/", name(dtype), "/", s.c, "/", s.size, "x", s.size, "/n", s.n),
            [=](benchmark::State& state) { batchnorm(state, op, s, dtype); });
      };
      one("batchnorm_forward", Norm::forward);
      one("batchnorm_backward", Norm::backward);
      one("batchnorm_inference", Norm::inference);
    }
  }
  for (const std::int64_t count : {4839544, 23958440}) {  // nets A and E
    add(msd::message("sgd/f32/", count), [=](benchmark::State& state) { sgd(state, count); });
  }
  return true;
}();

}  // namespace
}  // namespace msd::bench
