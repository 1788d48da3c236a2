// SPDX-License-Identifier: MIT
// What the benchmarks of the CUDA bodies share: a GPU with a stream, operands in its memory, timing
// with CUDA events.
#pragma once

#include <benchmark/benchmark.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/cuda/algorithms.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/context.h"
#include "kernels/error.h"
#include "kernels/ops.h"

namespace msd::bench {

inline constexpr std::int64_t kColdBytes = 512 << 20;  // ten times an H200's L2

struct Free {
  void operator()(void* memory) const { cudaFree(memory); }
};
using Memory = std::unique_ptr<void, Free>;

/// Device memory of random floats, or of random bf16 (whose bits are a float's upper half).
inline Memory random_memory(std::int64_t elems, DType dtype) {
  static std::mt19937 engine(7);
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  std::vector<float> values(static_cast<std::size_t>(elems));
  for (float& value : values) value = uniform(engine);
  const std::int64_t bytes = elems * size_bytes(dtype);
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
    MSD_CUDA_CHECK(cudaMalloc(&workspace_, cuda::kWorkspaceBytes));
    MSD_CUDA_CHECK(
        cudaDeviceGetAttribute(&cuda_.multiprocessors, cudaDevAttrMultiProcessorCount, 0));
    cuda_.stream = stream_;
    cuda_.workspace = workspace_;
    context_.device = DeviceType::cuda;
    context_.cuda = &cuda_;
  }
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;
  ~Gpu() {
    chooser_.reset();
    plugin_.reset();
    cudaFree(workspace_);
    cudaEventDestroy(start_);
    cudaEventDestroy(stop_);
    cudaStreamDestroy(stream_);
  }

  ExecutionContext& context() { return context_; }
  cudaStream_t stream() const { return stream_; }
  void allow_tf32(bool allow) { cuda_.allow_tf32 = allow; }

  /// From here on ops run as the policy says, with the plugin.
  void use(const cuda::PluginTable& plugin, const std::string& policy) {
    plugin_ = std::make_unique<cuda::PluginSession>(plugin, stream_);
    chooser_ = std::make_unique<cuda::AlgorithmChooser>(cuda::parse_algorithm_policy(policy),
                                                        plugin_.get(), nullptr);
    cuda_.algorithms = chooser_.get();
  }
  /// Of the last use(): why a problem seen since had no plan; "" where all had.
  std::string why_not() const {
    if (chooser_ == nullptr) return "";
    for (const auto& choice : chooser_->choices()) {
      if (!choice.why_not.empty()) return choice.why_not;
    }
    return "";
  }

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
  cuda::Context cuda_;
  std::unique_ptr<cuda::PluginSession> plugin_;
  std::unique_ptr<cuda::AlgorithmChooser> chooser_;
  ExecutionContext context_;
};

/// Bytes a second, read and written, of a large copy: the median of 9.
inline double copy_rate(Gpu& gpu) {
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

inline std::int64_t sets_of(const benchmark::State& state, std::int64_t bytes) {
  return state.range(0) == 1 ? 1 : std::max<std::int64_t>(2, kColdBytes / bytes + 1);
}

/// One operand of each set.
class Operands {
 public:
  Operands(std::int64_t sets, std::int64_t elems, DType dtype) {
    for (std::int64_t i = 0; i < sets; ++i) memory_.push_back(random_memory(elems, dtype));
  }
  void* operator[](std::int64_t set) const { return memory_[static_cast<std::size_t>(set)].get(); }

 private:
  std::vector<Memory> memory_;
};

template <typename Run>
void add(const std::string& name, Run run) {
  benchmark::RegisterBenchmark(("cuda/" + name).c_str(), run)
      ->ArgName("sets")
      ->Arg(1)
      ->Arg(0)
      ->UseManualTime();
}

}  // namespace msd::bench
