// SPDX-License-Identifier: MIT
// The CUDA runtime as the engine uses it: streams with their memory, events, graphs. No header of
// NVIDIA's, so that a build without CUDA compiles against it too; there, making a Stream throws.
#pragma once

#include <cstdint>
#include <functional>

#include "kernels/cuda/device/context.h"
#include "kernels/cuda/device/handle.h"

struct CUevent_st;      // cudaEvent_t
struct CUgraphExec_st;  // cudaGraphExec_t

namespace msd::cuda {

void destroy_stream(CUstream_st* stream) noexcept;
void destroy_event(CUevent_st* event) noexcept;
void destroy_graph(CUgraphExec_st* graph) noexcept;
void free_pinned(void* memory) noexcept;

/// A moment in a stream. Serves one recording at a time.
class Event {
 public:
  Event();
  CUevent_st* get() const { return handle_.get(); }
  /// Until what was recorded last has happened; at once where nothing was.
  void synchronize() const;

 private:
  UniqueHandle<CUevent_st*, destroy_event> handle_;
};

/// Work captured once, to be launched any number of times.
using Graph = UniqueHandle<CUgraphExec_st*, destroy_graph>;

/// Host memory that copies reach without the driver's staging. Move-only.
class PinnedMemory {
 public:
  PinnedMemory() = default;
  explicit PinnedMemory(std::int64_t bytes);
  void* data() const { return handle_.get(); }

 private:
  UniqueHandle<void*, free_pinned> handle_;
};

/// A stream on one GPU, with the memory and workspace that ops on it need. What is submitted runs
/// in order. Serves one thread; throws CudaError.
class Stream {
 public:
  enum class Use : std::uint8_t { ops, copies };
  /// Makes `device` the calling thread's. Throws ConfigError where this build has no code for it,
  /// naming both architectures. A stream for copies has no workspace, which ops need.
  explicit Stream(int device, Use use = Use::ops);
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream();

  /// For ops; pointers into it stay valid as long as the stream lives.
  Context& context() { return context_; }

  /// Device memory, aligned to 256, from the device's pool, which keeps what it was given. Throws
  /// OutOfMemory naming both figures. Valid for work submitted to this stream from here on.
  void* allocate(std::int64_t bytes);
  /// Once the work submitted so far is done.
  void release(void* memory) noexcept;

  /// Between host and device memory, any way. Pageable host memory is read, or written, when this
  /// returns; pinned memory when the stream gets there.
  void copy(void* to, const void* from, std::int64_t bytes);
  /// Sets every byte of device memory.
  void set_bytes(void* to, int value, std::int64_t bytes);

  void record(const Event& event);
  /// Later work waits for what `event` recorded last.
  void wait(const Event& event);
  void synchronize();

  /// Captures what `submit` submits to this stream, instead of running it. It must not allocate or
  /// wait.
  Graph capture(const std::function<void()>& submit);
  void launch(const Graph& graph);
  /// Milliseconds on the GPU from before what `submit` submits to this stream until it is done.
  double time_ms(const std::function<void()>& submit);

 private:
  UniqueHandle<CUstream_st*, destroy_stream> handle_;
  Context context_;
};

/// Device memory not in use, of the calling thread's device.
std::int64_t free_memory_bytes();

/// Names a span of time for a profiler (NVTX); nothing where none watches.
class ProfilerRange {
 public:
  explicit ProfilerRange(const char* name);
  ~ProfilerRange();  // NOLINT(performance-trivially-destructible): has work where CUDA is
  ProfilerRange(const ProfilerRange&) = delete;
  ProfilerRange& operator=(const ProfilerRange&) = delete;
};

}  // namespace msd::cuda
