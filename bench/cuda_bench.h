// SPDX-License-Identifier: MIT
// What the benchmarks of the CUDA bodies share: a GPU with a stream, operands in its memory, timing
// with CUDA events, and the roofs of its memory and matrix units.
#pragma once

#include <benchmark/benchmark.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "kernels/cuda/device/check.h"
#include "kernels/cuda/device/stream.h"
#include "kernels/libraries/algorithms.h"
#include "kernels/ops.h"
#include "tests/kernels/calls/memory.h"

namespace msd::bench {

inline constexpr std::int64_t kColdBytes = 512 << 20;  // ten times an H200's L2

struct Free {
  void operator()(void* memory) const { cudaFree(memory); }
};
using Memory = std::unique_ptr<void, Free>;

/// Device memory of random floats, or of random bf16; one block of 4 MiB, repeated.
Memory random_memory(std::int64_t elems, DType dtype);
/// For labels and indices: class or image 0.
Memory zeros(std::int64_t bytes);

/// GPU 0: a stream with the workspace of the ops, and a stop-watch on it.
class Gpu {
 public:
  Gpu() : stream_(0), start_(timing_event()), stop_(timing_event()) {
    context_.device = DeviceType::cuda;
    context_.cuda = &stream_.context();
  }

  ExecutionContext& context() { return context_; }
  CUstream_st* stream() { return stream_.context().stream; }
  void allow_tf32(bool allow) { stream_.context().allow_tf32 = allow; }

  /// From here on ops run as the policy says, with the plugin.
  void use(const cuda::PluginTable& plugin, const std::string& policy) {
    plugin_ = std::make_unique<cuda::PluginSession>(plugin, stream());
    chooser_ = std::make_unique<cuda::AlgorithmChooser>(cuda::parse_algorithm_policy(policy),
                                                        plugin_.get(), nullptr);
    stream_.context().algorithms = chooser_.get();
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
    MSD_CUDA_CHECK(cudaEventRecord(start_.get(), stream()));
    work();
    MSD_CUDA_CHECK(cudaEventRecord(stop_.get(), stream()));
    MSD_CUDA_CHECK(cudaEventSynchronize(stop_.get()));
    float milliseconds = 0.0f;
    MSD_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, start_.get(), stop_.get()));
    return static_cast<double>(milliseconds) * 1e-3;
  }

 private:
  static cudaEvent_t timing_event() {
    cudaEvent_t event = nullptr;
    MSD_CUDA_CHECK(cudaEventCreateWithFlags(&event, cudaEventDefault));
    return event;
  }

  cuda::Stream stream_;
  cuda::UniqueHandle<cudaEvent_t, cuda::destroy_event> start_, stop_;
  std::unique_ptr<cuda::PluginSession> plugin_;
  std::unique_ptr<cuda::AlgorithmChooser> chooser_;
  ExecutionContext context_;
};

/// What the products of f32 and bf16 activations may round their factors to.
enum class Precision : std::uint8_t { fp32, tf32, bf16 };
inline constexpr Precision kPrecisions[] = {Precision::bf16, Precision::tf32, Precision::fp32};
inline const char* name(Precision precision) {
  return precision == Precision::fp32 ? "fp32" : precision == Precision::tf32 ? "tf32" : "bf16";
}
inline DType activations(Precision precision) {
  return precision == Precision::bf16 ? DType::bf16 : DType::f32;
}

/// Bytes a second, read and written, of a copy of 1 GiB on the device: the median of 9, once a run.
double copy_rate();

/// Floating-point operations a second of a large matrix product: the median of 9, once a run.
struct MatrixRate {
  double flops_per_second = 0.0;
  const char* source = "";  // cublas: 8192^3; or, where there is none, the op conv_forward
};
MatrixRate matrix_rate(Precision precision);

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
  state.counters["of_copy"] = rate(static_cast<double>(bytes) / copy_rate());
  if (mul_adds > 0.0) state.counters["FLOP/s"] = rate(2.0 * mul_adds);
}

inline std::int64_t sets_of(const benchmark::State& state, std::int64_t bytes) {
  return state.range(0) == 1 ? 1 : std::max<std::int64_t>(2, kColdBytes / bytes + 1);
}

/// One operand of each set, in one allocation.
class Operands {
 public:
  Operands(std::int64_t sets, std::int64_t elems, DType dtype)
      : bytes_each_(round_up(elems * size_bytes(dtype), 256)),
        memory_(random_memory(sets * bytes_each_ / size_bytes(dtype), dtype)) {}
  /// One set in memory that is there.
  explicit Operands(Memory memory) : bytes_each_(0), memory_(std::move(memory)) {}
  void* operator[](std::int64_t set) const {
    return static_cast<std::byte*>(memory_.get()) + set * bytes_each_;
  }

 private:
  std::int64_t bytes_each_;
  Memory memory_;
};

/// A call's memory (tests/kernels/calls/memory.h) on the GPU, random but for small arrays of whole
/// numbers, which are zeros. `sets` of the large operands, of which a call has the one at `set`.
class DeviceMemory {
 public:
  class Rows {
   public:
    Rows(const DeviceMemory& memory, std::int64_t sets, calls::Shape s, calls::Gap gap)
        : set_(sets == 1 ? &kFirst : memory.set_),
          gap_before_(gap.before),
          view_{nullptr, memory.dtype_, s.n, s.h, s.w, s.c, gap.before + s.c + gap.after},
          all_(sets, s.rows() * view_.pitch, memory.dtype_) {}
    View view() const {
      View view = view_;
      view.data = static_cast<std::byte*>(all_[*set_]) + gap_before_ * size_bytes(view.dtype);
      return view;
    }

   private:
    const std::int64_t* set_;
    std::int64_t gap_before_;
    View view_;
    Operands all_;
  };
  template <typename E>
  class Array {
   public:
    Array(const std::int64_t* set, Operands all) : set_(set), all_(std::move(all)) {}
    E* data() const { return static_cast<E*>(all_[*set_]); }

   private:
    const std::int64_t* set_;
    Operands all_;
  };
  using Values = Array<float>;
  static constexpr DType kValues = DType::f32;

  /// dtype: of activations. `set` outlives the operands.
  DeviceMemory(std::int64_t sets, DType dtype, const std::int64_t& set)
      : sets_(sets), dtype_(dtype), set_(&set) {}

  Rows rows(calls::Shape s, calls::Gap gap, calls::Content) const { return {*this, sets_, s, gap}; }
  Rows shared_rows(std::int64_t count) const { return {*this, 1, {1, 1, 1, count}, {}}; }
  Values values(std::int64_t count, calls::Content content) const {
    return array<float>(count, content);
  }
  Values flat(std::int64_t count, calls::Content content) const {
    return large<float>(count, content);
  }
  template <typename E>
  Array<E> array(std::int64_t count, calls::Content) const {
    if constexpr (std::is_same_v<E, float>) return {&kFirst, Operands(1, count, DType::f32)};
    return {&kFirst, Operands(zeros(count * static_cast<std::int64_t>(sizeof(E))))};
  }
  template <typename E>
  Array<E> large(std::int64_t count, calls::Content) const {
    const std::int64_t bytes = count * static_cast<std::int64_t>(sizeof(E));
    return {set_, Operands(sets_, ceil_div(bytes, 4), DType::f32)};
  }

 private:
  static constexpr std::int64_t kFirst = 0;
  std::int64_t sets_;
  DType dtype_;
  const std::int64_t* set_;
};

/// Times a call, or several that `run` runs, over warm or cold operands; skips where the algorithm
/// asked for has no plan. make(memory): the call or calls; run(context, call).
template <typename Make, typename Run>
void measure_calls(benchmark::State& state, Gpu& gpu, DType dtype, std::int64_t bytes,
                   double mul_adds, Make make, Run run) {
  const std::int64_t sets = sets_of(state, bytes);
  std::int64_t set = 0;
  auto call = make(DeviceMemory(sets, dtype, set));
  if constexpr (requires { call.packed; }) call.pack(gpu.context());
  run(gpu.context(), call);
  if (const std::string reason = gpu.why_not(); !reason.empty()) {
    state.SkipWithError(reason.c_str());
    return;
  }
  measure(state, gpu, sets, bytes, mul_adds, [&](std::int64_t i) {
    set = i;
    run(gpu.context(), call);
  });
}
template <typename Make>
void measure_call(benchmark::State& state, Gpu& gpu, DType dtype, std::int64_t bytes,
                  double mul_adds, Make make) {
  measure_calls(state, gpu, dtype, bytes, mul_adds, make,
                [](ExecutionContext& context, auto& call) { calls::run(context, call); });
}

/// Registers cuda/NAME, which is skipped with an error where there is no GPU, as is any that
/// throws.
benchmark::internal::Benchmark* add_to_gpu(const std::string& name,
                                           std::function<void(benchmark::State&)> run);

/// The same over warm and cold operands.
inline void add(const std::string& name, std::function<void(benchmark::State&)> run) {
  add_to_gpu(name, std::move(run))->ArgName("sets")->Arg(1)->Arg(0);
}

}  // namespace msd::bench
