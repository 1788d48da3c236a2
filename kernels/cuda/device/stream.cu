// SPDX-License-Identifier: MIT
#include "kernels/cuda/device/stream.h"

#include <cuda_runtime.h>
#include <nvtx3/nvToolsExt.h>

#include "kernels/cuda/device/check.h"
#include "kernels/cuda/device/device.h"

namespace msd::cuda {
namespace {

// A function, as nvcc 13 loses its way with a lambda as a template's argument.
void destroy_template(cudaGraph_t graph) noexcept { cudaGraphDestroy(graph); }
using GraphTemplate = UniqueHandle<cudaGraph_t, destroy_template>;

cudaStream_t make_stream() {
  cudaStream_t stream = nullptr;
  MSD_CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return stream;
}

/// Memory given back stays in the pool for the next allocation instead of going to the driver.
void keep_pool_memory(int device) {
  cudaMemPool_t pool = nullptr;
  MSD_CUDA_CHECK(cudaDeviceGetDefaultMemPool(&pool, device));
  std::uint64_t threshold = ~std::uint64_t{0};
  MSD_CUDA_CHECK(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &threshold));
}

}  // namespace

void destroy_stream(CUstream_st* stream) noexcept { cudaStreamDestroy(stream); }
void destroy_event(CUevent_st* event) noexcept { cudaEventDestroy(event); }
void destroy_graph(CUgraphExec_st* graph) noexcept { cudaGraphExecDestroy(graph); }
void free_pinned(void* memory) noexcept { cudaFreeHost(memory); }

Event::Event() {
  cudaEvent_t event = nullptr;
  MSD_CUDA_CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  handle_ = decltype(handle_)(event);
}

void Event::synchronize() const { MSD_CUDA_CHECK(cudaEventSynchronize(get())); }

PinnedMemory::PinnedMemory(std::int64_t bytes) {
  void* memory = nullptr;
  const cudaError_t status = cudaMallocHost(&memory, static_cast<std::size_t>(bytes));
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    throw OutOfMemory(message("the host has no ", bytes, " bytes of pinned memory left"));
  }
  MSD_CUDA_CHECK(status);
  handle_ = decltype(handle_)(memory);
}

Stream::Stream(int device, Use use) {
  MSD_CUDA_CHECK(cudaSetDevice(device));
  require_code_for(device);
  keep_pool_memory(device);
  handle_ = decltype(handle_)(make_stream());
  context_.stream = handle_.get();
  MSD_CUDA_CHECK(
      cudaDeviceGetAttribute(&context_.multiprocessors, cudaDevAttrMultiProcessorCount, device));
  if (use == Use::ops) context_.workspace = allocate(kWorkspaceBytes);
}

Stream::~Stream() { release(context_.workspace); }

void* Stream::allocate(std::int64_t bytes) {
  if (bytes <= 0) return nullptr;
  void* memory = nullptr;
  const cudaError_t status =
      cudaMallocAsync(&memory, static_cast<std::size_t>(bytes), handle_.get());
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    throw OutOfMemory(message("the GPU has ", free_memory_bytes(), " bytes left, ", bytes,
                              " more wanted; use a smaller batch"));
  }
  MSD_CUDA_CHECK(status);
  return memory;
}

void Stream::release(void* memory) noexcept {
  if (memory != nullptr) cudaFreeAsync(memory, handle_.get());
}

void Stream::copy(void* to, const void* from, std::int64_t bytes) {
  if (bytes <= 0) return;
  MSD_CUDA_CHECK(
      cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDefault, handle_.get()));
}

void Stream::set_bytes(void* to, int value, std::int64_t bytes) {
  if (bytes <= 0) return;
  MSD_CUDA_CHECK(cudaMemsetAsync(to, value, static_cast<std::size_t>(bytes), handle_.get()));
}

void Stream::record(const Event& event) {
  MSD_CUDA_CHECK(cudaEventRecord(event.get(), handle_.get()));
}

void Stream::wait(const Event& event) {
  MSD_CUDA_CHECK(cudaStreamWaitEvent(handle_.get(), event.get()));
}

void Stream::synchronize() { MSD_CUDA_CHECK(cudaStreamSynchronize(handle_.get())); }

// Relaxed, as a kernel's first launch may load its code, which stricter modes forbid.
Graph Stream::capture(const std::function<void()>& submit) {
  MSD_CUDA_CHECK(cudaStreamBeginCapture(handle_.get(), cudaStreamCaptureModeRelaxed));
  cudaGraph_t captured = nullptr;
  context_.capturing = true;
  try {
    submit();
    context_.capturing = false;
  } catch (...) {
    context_.capturing = false;
    cudaStreamEndCapture(handle_.get(), &captured);
    const GraphTemplate abandoned(captured);
    throw;
  }
  MSD_CUDA_CHECK(cudaStreamEndCapture(handle_.get(), &captured));
  const GraphTemplate graph(captured);
  cudaGraphExec_t executable = nullptr;
  MSD_CUDA_CHECK(cudaGraphInstantiate(&executable, graph.get(), 0));
  return Graph(executable);
}

void Stream::launch(const Graph& graph) {
  MSD_CUDA_CHECK(cudaGraphLaunch(graph.get(), handle_.get()));
}

double Stream::time_ms(const std::function<void()>& submit) {
  const auto make = [] {
    cudaEvent_t event = nullptr;
    MSD_CUDA_CHECK(cudaEventCreateWithFlags(&event, cudaEventDefault));
    return UniqueHandle<CUevent_st*, destroy_event>(event);
  };
  const auto before = make(), after = make();
  MSD_CUDA_CHECK(cudaEventRecord(before.get(), handle_.get()));
  submit();
  MSD_CUDA_CHECK(cudaEventRecord(after.get(), handle_.get()));
  MSD_CUDA_CHECK(cudaEventSynchronize(after.get()));
  float milliseconds = 0.0f;
  MSD_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, before.get(), after.get()));
  return static_cast<double>(milliseconds);
}

std::int64_t free_memory_bytes() {
  std::size_t free = 0, total = 0;
  MSD_CUDA_CHECK(cudaMemGetInfo(&free, &total));
  return static_cast<std::int64_t>(free);
}

ProfilerRange::ProfilerRange(const char* name) { nvtxRangePushA(name); }
ProfilerRange::~ProfilerRange() { nvtxRangePop(); }

}  // namespace msd::cuda
