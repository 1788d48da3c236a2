// SPDX-License-Identifier: MIT
// The CUDA bodies on a GPU, each problem twice, and twice with the algorithms of each of NVIDIA's
// libraries where the plugin opens. Operands lie in managed memory.
// Never ran on a GPU yet.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <new>
#include <vector>

#include "kernels/cuda/device/check.h"
#include "kernels/cuda/device/context.h"
#include "kernels/cuda/device/device.h"
#include "kernels/cuda/device/ops.h"
#include "kernels/cuda/device/stream.h"
#include "kernels/libraries/algorithms.h"
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

/// Ways to choose algorithms: handwritten, and a library wherever it has a plan. Each is a family,
/// as a library sums in orders of its own; all must be within the tests' tolerances.
struct Way {
  std::string name;
  std::unique_ptr<cuda::AlgorithmChooser> chooser;
};
std::vector<Way>& ways() {
  static std::unique_ptr<cuda::PluginSession> plugin;
  static std::vector<Way> all = [] {
    std::vector<Way> made;
    made.push_back({"handwritten", nullptr});
    const cuda::FoundPlugin found = cuda::open_plugin();
    if (found.table == nullptr) {
      std::cerr << "only handwritten kernels are tested: " << found.why_not << '\n';
      return made;
    }
    plugin = std::make_unique<cuda::PluginSession>(*found.table, stream().context().stream);
    for (const char* policy :
         {"conv_forward=cudnn,conv_backward_data=cudnn,conv_backward_weight=cudnn,"
          "batchnorm_forward=cudnn,batchnorm_backward=cudnn",
          "conv_forward=cublaslt,conv_backward_data=cublaslt,conv_backward_weight=cublaslt,"
          "linear_forward=cublaslt,linear_backward=cublaslt"}) {
      made.push_back({made.size() == 1 ? "cudnn" : "cublaslt",
                      std::make_unique<cuda::AlgorithmChooser>(cuda::parse_algorithm_policy(policy),
                                                               plugin.get(), nullptr)});
    }
    return made;
  }();
  return all;
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
  for (const Way& way : ways()) {
    for (const int poison : {0xFF, 0x00}) {
      stream().set_bytes(stream().context().workspace, poison, cuda::kWorkspaceBytes);
      stream().context().algorithms = way.chooser.get();
      Variant variant{"GPU, " + way.name + ", poison " + std::to_string(poison), "GPU, " + way.name,
                      context(1)};
      const bool more = visit(variant);
      stream().context().algorithms = nullptr;
      if (!more) return;
    }
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
