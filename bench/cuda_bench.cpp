// SPDX-License-Identifier: MIT
// The CUDA bodies at the shapes of net A (CIFAR, batch 64 and 256) and of ImageNet's branches:
//   cuda/<op>/<type>/<shape>/sets:<1|0>
// Timed with CUDA events. sets:1 works on one set of operands, which stays in L2 where it fits;
// sets:0 cycles through so many that they do not. Bytes are those the formula needs, each operand
// once a pass. of_copy: bytes/s as a share of a device-to-device copy's of 1 GiB, the memory's
// roof. Without a GPU nothing is registered. Never ran on a GPU yet.
#include <benchmark/benchmark.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/cuda/check.h"
#include "kernels/cuda/context.h"
#include "kernels/cuda/device.h"
#include "kernels/error.h"
#include "kernels/ops.h"

namespace {

using msd::ConvGeometry;
using msd::ConvPass;
using msd::DType;
using msd::View;

constexpr std::int64_t kColdBytes = 512 << 20;  // ten times an H200's L2

struct Free {
  void operator()(void* memory) const { cudaFree(memory); }
};
using Memory = std::unique_ptr<void, Free>;

/// Device memory of random floats, or of random bf16 (whose bits are a float's upper half).
Memory random_memory(std::int64_t elems, DType dtype) {
  static std::mt19937 engine(7);
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  std::vector<float> values(static_cast<std::size_t>(elems));
  for (float& value : values) value = uniform(engine);
  const std::int64_t bytes = elems * msd::size_bytes(dtype);
  if (dtype == DType::bf16) {
    auto* halves = reinterpret_cast<std::uint16_t*>(values.data());
    for (std::int64_t i = 0; i < elems; ++i) halves[i] = halves[2 * i + 1];
  }
  void* memory = nullptr;
  MSD_CUDA_CHECK(cudaMalloc(&memory, static_cast<std::size_t>(std::max<std::int64_t>(bytes, 1))));
  MSD_CUDA_CHECK(
      cudaMemcpy(memory, values.data(), static_cast<std::size_t>(bytes), cudaMemcpyHostToDevice));
  return Memory(memory);
}

class Gpu {
 public:
  Gpu() {
    MSD_CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    MSD_CUDA_CHECK(cudaEventCreate(&start_));
    MSD_CUDA_CHECK(cudaEventCreate(&stop_));
    MSD_CUDA_CHECK(cudaMalloc(&workspace_, msd::cuda::kWorkspaceBytes));
    MSD_CUDA_CHECK(
        cudaDeviceGetAttribute(&cuda_.multiprocessors, cudaDevAttrMultiProcessorCount, 0));
    cuda_.stream = stream_;
    cuda_.workspace = workspace_;
    context_.device = msd::DeviceType::cuda;
    context_.cuda = &cuda_;
  }
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;
  ~Gpu() {
    cudaFree(workspace_);
    cudaEventDestroy(start_);
    cudaEventDestroy(stop_);
    cudaStreamDestroy(stream_);
  }

  msd::ExecutionContext& context() { return context_; }
  cudaStream_t stream() const { return stream_; }
  void allow_tf32(bool allow) { cuda_.allow_tf32 = allow; }

  /// Seconds on the device of what `work` puts on the stream.
  template <typename Work>
  double seconds(Work work) {
    MSD_CUDA_CHECK(cudaEventRecord(start_, stream_));
    work();
    MSD_CUDA_CHECK(cudaEventRecord(stop_, stream_));
    MSD_CUDA_CHECK(cudaEventSynchronize(stop_));
    float milliseconds = 0.0f;
    MSD_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, start_, stop_));
    return static_cast<double>(milliseconds) * 1e-3;
  }

 private:
  cudaStream_t stream_ = nullptr;
  cudaEvent_t start_ = nullptr, stop_ = nullptr;
  void* workspace_ = nullptr;
  msd::cuda::Context cuda_;
  msd::ExecutionContext context_;
};

/// Bytes a second, read and written, of a large copy: the median of 9.
double copy_rate(Gpu& gpu) {
  static double rate = 0.0;
  if (rate > 0.0) return rate;
  constexpr std::int64_t kBytes = 1 << 30;
  const Memory from = random_memory(kBytes / 4, DType::f32),
               to = random_memory(kBytes / 4, DType::f32);
  std::vector<double> seconds;
  for (int i = 0; i < 10; ++i) {
    seconds.push_back(gpu.seconds([&] {
      MSD_CUDA_CHECK(
          cudaMemcpyAsync(to.get(), from.get(), kBytes, cudaMemcpyDeviceToDevice, gpu.stream()));
    }));
  }
  std::sort(seconds.begin() + 1, seconds.end());  // the first is a warm-up
  return rate = 2.0 * static_cast<double>(kBytes) / seconds[5];
}

/// Times work(set) over `sets` sets of operands of set_bytes each.
template <typename Work>
void measure(benchmark::State& state, Gpu& gpu, std::int64_t sets, std::int64_t bytes,
             double mul_adds, Work work) {
  std::int64_t next = 0;
  const auto one = [&] {
    work(next);
    next = next + 1 == sets ? 0 : next + 1;
  };
  for (int i = 0; i < 5; ++i) one();
  for (auto _ : state) state.SetIterationTime(gpu.seconds(one));
  const auto rate = [](double amount) {
    return benchmark::Counter(amount, benchmark::Counter::kIsIterationInvariantRate);
  };
  state.counters["bytes/s"] = rate(static_cast<double>(bytes));
  state.counters["of_copy"] = rate(static_cast<double>(bytes) / copy_rate(gpu));
  if (mul_adds > 0.0) state.counters["FLOP/s"] = rate(2.0 * mul_adds);
}

std::int64_t sets_of(const benchmark::State& state, std::int64_t bytes) {
  return state.range(0) == 1 ? 1 : std::max<std::int64_t>(2, kColdBytes / bytes + 1);
}

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

void convolution(benchmark::State& state, Conv op, const ConvShape& s, DType dtype, bool tf32) {
  Gpu gpu;
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
  measure(state, gpu, sets, bytes, mul_adds, [&](std::int64_t set) {
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
  });
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
  measure(state, gpu, sets, 20 * count, 0.0, [&](std::int64_t set) {
    const auto i = static_cast<std::size_t>(set);
    const msd::SgdArgs args{.weight = weight[i].get(),
                            .gradient = gradient[i].get(),
                            .velocity = velocity[i].get(),
                            .count = count,
                            .lr = 1e-3,
                            .weight_decay = 1e-4};
    msd::sgd(gpu.context(), {&args, 1});
  });
}

template <typename Run>
void add(const std::string& name, Run run) {
  benchmark::RegisterBenchmark(("cuda/" + name).c_str(), run)
      ->ArgName("sets")
      ->Arg(1)
      ->Arg(0)
      ->UseManualTime();
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
        add(msd::message(name(op), "/", type, "/", shape),
            [=](benchmark::State& state) { convolution(state, op, s, dtype, tf32); });
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
