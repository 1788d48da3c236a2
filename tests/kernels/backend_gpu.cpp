// SPDX-License-Identifier: MIT
// The CUDA bodies on a GPU, each problem twice. Operands lie in managed memory.
// Never ran on a GPU yet.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "kernels/cuda/check.h"
#include "kernels/cuda/context.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/ops.h"
#include "tests/kernels/backend.h"

namespace msd::test::backend {
namespace {

bool has_gpu() {
  static const bool found = !cuda::devices().empty();
  return found;
}

class Device {
 public:
  Device() {
    MSD_CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    MSD_CUDA_CHECK(cudaMalloc(&workspace_, cuda::kWorkspaceBytes));
    context_.stream = stream_;
    context_.workspace = workspace_;
    MSD_CUDA_CHECK(
        cudaDeviceGetAttribute(&context_.multiprocessors, cudaDevAttrMultiProcessorCount, 0));
    context_.blocking = true;
  }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  ~Device() {
    cudaFree(workspace_);
    cudaStreamDestroy(stream_);
  }
  ExecutionContext context() {
    ExecutionContext context;
    context.device = DeviceType::cuda;
    context.cuda = &context_;
    return context;
  }
  void poison_workspace(int poison) {
    MSD_CUDA_CHECK(cudaMemsetAsync(workspace_, poison, cuda::kWorkspaceBytes, stream_));
    MSD_CUDA_CHECK(cudaStreamSynchronize(stream_));
  }

 private:
  cudaStream_t stream_ = nullptr;
  void* workspace_ = nullptr;
  cuda::Context context_;
};

Device& device() {
  static Device the_device;
  return the_device;
}

}  // namespace

std::string why_not(std::string_view op) {
  const auto missing = cuda::missing_ops();
  if (std::find(missing.begin(), missing.end(), op) != missing.end()) return "no CUDA body yet";
  return has_gpu() ? "" : "no GPU";
}
bool must_run() {
  const char* required = std::getenv("MSD_REQUIRE_GPU");
  return required != nullptr && std::strcmp(required, "1") == 0 && !has_gpu();
}

void for_each_variant(const std::function<bool(Variant&)>& visit) {
  for (const int poison : {0xFF, 0x00}) {
    device().poison_workspace(poison);
    Variant variant{"GPU, poison " + std::to_string(poison), "GPU", device().context()};
    if (!visit(variant)) return;
  }
}

ExecutionContext context(int) { return device().context(); }
std::vector<ExecutionContext> contexts() { return {context(1)}; }

void* allocate(std::size_t bytes) {
  if (!has_gpu()) return ::operator new(bytes);
  void* memory = nullptr;
  MSD_CUDA_CHECK(cudaMallocManaged(&memory, bytes));
  return memory;
}
void release(void* memory) {
  if (!has_gpu()) {
    ::operator delete(memory);
  } else {
    cudaFree(memory);
  }
}

}  // namespace msd::test::backend
