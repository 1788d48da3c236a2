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
#include "kernels/cuda/stream.h"
#include "tests/kernels/backend.h"

namespace msd::test::backend {
namespace {

bool has_gpu() {
  static const bool found = !cuda::devices().empty();
  return found;
}

cuda::Stream& stream() {
  static cuda::Stream the_stream(0);
  the_stream.context().blocking = true;
  return the_stream;
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
    stream().set_bytes(stream().context().workspace, poison, cuda::kWorkspaceBytes);
    Variant variant{"GPU, poison " + std::to_string(poison), "GPU", context(1)};
    if (!visit(variant)) return;
  }
}

ExecutionContext context(int) {
  ExecutionContext context;
  context.device = DeviceType::cuda;
  context.cuda = &stream().context();
  return context;
}
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
