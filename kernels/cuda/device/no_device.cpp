// SPDX-License-Identifier: MIT
// A build without CUDA: no devices, and making anything on one throws.
#include "kernels/cuda/device/context.h"
#include "kernels/cuda/device/device.h"
#include "kernels/cuda/device/stream.h"
#include "kernels/error.h"

namespace msd::cuda {
namespace {

[[noreturn]] void throw_absent() {
  throw ConfigError("this build has no CUDA backend; build with -DMSD_CUDA=ON or use --device cpu");
}

}  // namespace

bool compiled_in() { return false; }
std::vector<DeviceInfo> devices() { return {}; }
void require_code_for(int) { throw_absent(); }
void finish_op(const Context&, const char*) {}

void destroy_stream(CUstream_st*) noexcept {}
void destroy_event(CUevent_st*) noexcept {}
void destroy_graph(CUgraphExec_st*) noexcept {}
void free_pinned(void*) noexcept {}

Event::Event() { throw_absent(); }
void Event::synchronize() const { throw_absent(); }
PinnedMemory::PinnedMemory(std::int64_t) { throw_absent(); }
Stream::Stream(int, Use) { throw_absent(); }
Stream::~Stream() = default;
void* Stream::allocate(std::int64_t) { throw_absent(); }
void Stream::release(void*) noexcept {}
void Stream::copy(void*, const void*, std::int64_t) { throw_absent(); }
void Stream::set_bytes(void*, int, std::int64_t) { throw_absent(); }
void Stream::record(const Event&) { throw_absent(); }
void Stream::wait(const Event&) { throw_absent(); }
void Stream::synchronize() { throw_absent(); }
Graph Stream::capture(const std::function<void()>&) { throw_absent(); }
void Stream::launch(const Graph&) { throw_absent(); }
double Stream::time_ms(const std::function<void()>&) { throw_absent(); }
std::int64_t free_memory_bytes() { throw_absent(); }
ProfilerRange::ProfilerRange(const char*) {}
ProfilerRange::~ProfilerRange() = default;

}  // namespace msd::cuda
