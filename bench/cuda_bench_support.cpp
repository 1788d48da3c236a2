// SPDX-License-Identifier: MIT
#include <dlfcn.h>

#include <array>
#include <exception>
#include <random>
#include <vector>

#include "bench/cuda_bench.h"
#include "kernels/cuda/device/device.h"
#include "tests/kernels/calls/convolution.h"

namespace msd::bench {
namespace {

constexpr std::size_t kBlockBytes = 4 << 20;

/// Random floats, then random bf16 of the same size.
const std::vector<float>& random_block(DType dtype) {
  static const std::array<std::vector<float>, 2> blocks = [] {
    std::mt19937 engine(7);
    std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
    std::vector<float> floats(kBlockBytes / 4), halves(kBlockBytes / 4);
    for (float& value : floats) value = uniform(engine);
    auto* to = reinterpret_cast<std::uint16_t*>(halves.data());
    for (std::size_t i = 0; i < kBlockBytes / 2; ++i) {
      const float value = uniform(engine);
      to[i] = reinterpret_cast<const std::uint16_t*>(&value)[1];  // a bf16 is a float's upper half
    }
    return std::array{floats, halves};
  }();
  return blocks[dtype == DType::bf16 ? 1 : 0];
}

double median_of_9(Gpu& gpu, const std::function<void()>& work) {
  std::vector<double> seconds;
  for (int i = 0; i < 10; ++i) seconds.push_back(gpu.seconds(work));
  std::sort(seconds.begin() + 1, seconds.end());  // the first is a warm-up
  return seconds[5];
}

/// cuBLAS without its headers or a link to it: the three calls that a matrix product needs.
class Cublas {
 public:
  Cublas() {
    for (const char* file : {"libcublas.so.13", "libcublas.so.12"}) {
      if (library_ = dlopen(file, RTLD_NOW); library_ != nullptr) break;
    }
    if (library_ == nullptr) return;
    find(create_, "cublasCreate_v2");
    find(destroy_, "cublasDestroy_v2");
    find(set_stream_, "cublasSetStream_v2");
    find(gemm_, "cublasGemmEx");
    const bool complete =
        create_ != nullptr && destroy_ != nullptr && set_stream_ != nullptr && gemm_ != nullptr;
    if (!complete || create_(&handle_) != 0) handle_ = nullptr;
  }
  Cublas(const Cublas&) = delete;
  Cublas& operator=(const Cublas&) = delete;
  ~Cublas() {
    if (handle_ != nullptr) destroy_(handle_);
  }

  bool usable() const { return handle_ != nullptr; }

  /// c = a b, all size x size; false where cuBLAS refuses.
  bool product(CUstream_st* stream, Precision precision, int size, const void* a, const void* b,
               void* c) const {
    constexpr int kNoTranspose = 0, kCompute32F = 68, kComputeTf32 = 77, kDefaultAlgorithm = -1;
    constexpr int kFloat = 0, kBfloat16 = 14;  // cudaDataType
    const float one = 1.0f, zero = 0.0f;
    const int type = precision == Precision::bf16 ? kBfloat16 : kFloat;
    return set_stream_(handle_, stream) == 0 &&
           gemm_(handle_, kNoTranspose, kNoTranspose, size, size, size, &one, a, type, size, b,
                 type, size, &zero, c, type, size,
                 precision == Precision::tf32 ? kComputeTf32 : kCompute32F, kDefaultAlgorithm) == 0;
  }

 private:
  template <typename Function>
  void find(Function*& function, const char* symbol) {
    function = reinterpret_cast<Function*>(dlsym(library_, symbol));
  }

  void* library_ = nullptr;  // stays loaded: it owns threads and device code
  void* handle_ = nullptr;
  int (*create_)(void**) = nullptr;
  int (*destroy_)(void*) = nullptr;
  int (*set_stream_)(void*, CUstream_st*) = nullptr;
  int (*gemm_)(void*, int, int, int, int, int, const void*, const void*, int, int, const void*, int,
               int, const void*, void*, int, int, int, int) = nullptr;
};

MatrixRate measure_cublas(Gpu& gpu, Precision precision) {
  const Cublas cublas;
  if (!cublas.usable()) return {};
  constexpr int kSize = 8192;
  constexpr std::int64_t kElems = std::int64_t{kSize} * kSize;
  const DType dtype = activations(precision);
  const Memory a = random_memory(kElems, dtype), b = random_memory(kElems, dtype),
               c = random_memory(kElems, dtype);
  bool done = true;
  const double seconds = median_of_9(gpu, [&] {
    done = cublas.product(gpu.stream(), precision, kSize, a.get(), b.get(), c.get()) && done;
  });
  if (!done) return {};
  return {2.0 * kElems * kSize / seconds, "cublas"};
}

MatrixRate measure_convolution(Gpu& gpu, Precision precision) {
  constexpr std::int64_t kImages = 64, kMap = 32, kChannels = 1024;
  const ConvGeometry g{kChannels, kChannels, 1, 1, 0};
  const calls::ConvShape shape = {kImages, kMap, kMap, g, false};
  const std::int64_t set = 0;
  calls::ConvForward<DeviceMemory> call(shape, {}, {},
                                        DeviceMemory(1, activations(precision), set));
  gpu.allow_tf32(precision == Precision::tf32);
  call.pack(gpu.context());
  const double seconds = median_of_9(gpu, [&] { calls::run(gpu.context(), call); });
  const auto mul_adds = static_cast<double>(shape.y().rows() * g.weight_elems());
  return {2.0 * mul_adds / seconds, "conv_forward"};
}

}  // namespace

Memory random_memory(std::int64_t elems, DType dtype) {
  const auto bytes = static_cast<std::size_t>(std::max<std::int64_t>(elems * size_bytes(dtype), 1));
  const std::vector<float>& block = random_block(dtype);
  void* data = nullptr;
  MSD_CUDA_CHECK(cudaMalloc(&data, bytes));
  Memory memory(data);
  std::size_t done = std::min(bytes, kBlockBytes);
  MSD_CUDA_CHECK(cudaMemcpy(data, block.data(), done, cudaMemcpyHostToDevice));
  while (done < bytes) {
    const std::size_t more = std::min(done, bytes - done);
    MSD_CUDA_CHECK(
        cudaMemcpy(static_cast<char*>(data) + done, data, more, cudaMemcpyDeviceToDevice));
    done += more;
  }
  MSD_CUDA_CHECK(cudaDeviceSynchronize());  // the ops' streams do not wait for the default one
  return memory;
}

Memory zeros(std::int64_t bytes) {
  void* memory = nullptr;
  MSD_CUDA_CHECK(cudaMalloc(&memory, static_cast<std::size_t>(bytes)));
  MSD_CUDA_CHECK(cudaMemset(memory, 0, static_cast<std::size_t>(bytes)));
  return Memory(memory);
}

double copy_rate() {
  static const double rate = [] {
    Gpu gpu;
    constexpr std::int64_t kBytes = 1 << 30;
    const Memory from = random_memory(kBytes / 4, DType::f32),
                 to = random_memory(kBytes / 4, DType::f32);
    const double seconds = median_of_9(gpu, [&] {
      MSD_CUDA_CHECK(
          cudaMemcpyAsync(to.get(), from.get(), kBytes, cudaMemcpyDeviceToDevice, gpu.stream()));
    });
    return 2.0 * static_cast<double>(kBytes) / seconds;
  }();
  return rate;
}

MatrixRate matrix_rate(Precision precision) {
  static std::array<MatrixRate, 3> rates;
  MatrixRate& rate = rates.at(static_cast<std::size_t>(precision));
  if (rate.flops_per_second == 0.0) {
    Gpu gpu;
    rate = measure_cublas(gpu, precision);
    if (rate.flops_per_second == 0.0) rate = measure_convolution(gpu, precision);
    if (precision == Precision::fp32) {  // the kernels' way: three products of tf32 parts
      const MatrixRate parts = matrix_rate(Precision::tf32);
      rate.flops_per_second = std::max(rate.flops_per_second, parts.flops_per_second / 3.0);
    }
  }
  return rate;
}

benchmark::internal::Benchmark* add_to_gpu(const std::string& name,
                                           std::function<void(benchmark::State&)> run) {
  const auto guarded = [run = std::move(run)](benchmark::State& state) {
    static const bool has_gpu = !cuda::devices().empty();
    if (!has_gpu) {
      state.SkipWithError("needs a GPU, and the driver shows none");
      return;
    }
    try {
      run(state);
    } catch (const std::exception& error) {
      state.SkipWithError(error.what());
    }
  };
  return benchmark::RegisterBenchmark(("cuda/" + name).c_str(), guarded)->UseManualTime();
}

}  // namespace msd::bench
