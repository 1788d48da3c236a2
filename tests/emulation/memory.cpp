// SPDX-License-Identifier: MIT
// Device, managed and pinned memory, full of poison. Managed and pinned blocks are heap blocks of
// the exact size, so that AddressSanitizer sees an overrun; device memory is device_space.h's.
#include <cstdlib>
#include <cstring>
#include <map>

#include "kernels/check.h"
#include "tests/emulation/device_space.h"
#include "tests/emulation/device_state.h"

namespace msd::emulation {
namespace {

constexpr std::size_t kAlignment = 256;

enum class Kind { device, managed, pinned };

struct Allocation {
  std::size_t bytes;
  Kind kind;
};
std::map<std::uintptr_t, Allocation>& allocations() {
  static std::map<std::uintptr_t, Allocation> all;
  return all;
}

cudaError_t allocate(void** pointer, std::size_t bytes, Kind kind) {
  *pointer = nullptr;
  if (device().sticky != cudaSuccess) return device().sticky;
  if (bytes == 0) return cudaSuccess;
  if (kind == Kind::device) {
    *pointer = device_space().allocate(bytes);
  } else if (posix_memalign(pointer, kAlignment, bytes) != 0) {
    *pointer = nullptr;
  }
  if (*pointer == nullptr) return report(cudaErrorMemoryAllocation);
  const DeviceAccess access;
  std::memset(*pointer, settings().poison, bytes);
  allocations()[reinterpret_cast<std::uintptr_t>(*pointer)] = {bytes, kind};
  return cudaSuccess;
}

cudaError_t release_memory(void* pointer) {
  if (pointer == nullptr) return cudaSuccess;
  const auto found = allocations().find(reinterpret_cast<std::uintptr_t>(pointer));
  if (found == allocations().end()) {
    return report(cudaErrorInvalidValue, "not the start of an allocation, or freed before");
  }
  if (found->second.kind == Kind::device) {
    device_space().release(pointer, found->second.bytes);
  } else {
    std::free(pointer);
  }
  allocations().erase(found);
  return cudaSuccess;
}

/// The allocation that holds `pointer`, or nullptr for the host's other memory.
const Allocation* find(const void* pointer, std::size_t& bytes_left) {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  auto after = allocations().upper_bound(address);
  if (after == allocations().begin()) return nullptr;
  --after;
  const std::size_t offset = address - after->first;
  if (offset >= after->second.bytes) return nullptr;
  bytes_left = after->second.bytes - offset;
  return &after->second;
}

enum class Place { device, pinned, pageable };

/// Where `bytes` at `pointer` lie; an error where an allocation ends before them.
cudaError_t locate(const void* pointer, std::size_t bytes, Place& place) {
  std::size_t left = 0;
  const Allocation* allocation = find(pointer, left);
  place = allocation == nullptr              ? Place::pageable
          : allocation->kind == Kind::pinned ? Place::pinned
                                             : Place::device;
  if (allocation == nullptr || bytes <= left) return cudaSuccess;
  return report(cudaErrorInvalidValue,
                message(bytes, " bytes at an address with ", left, " left in its allocation"));
}

}  // namespace

std::int64_t live_allocations() { return static_cast<std::int64_t>(allocations().size()); }

}  // namespace msd::emulation

using namespace msd::emulation;

cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  return allocate(pointer, bytes, Kind::device);
}
cudaError_t cudaMallocManaged(void** pointer, std::size_t bytes, unsigned) {
  return allocate(pointer, bytes, Kind::managed);
}
cudaError_t cudaMallocHost(void** pointer, std::size_t bytes) {
  return allocate(pointer, bytes, Kind::pinned);
}
cudaError_t cudaMallocAsync(void** pointer, std::size_t bytes, cudaStream_t handle) {
  const CUstream_st* stream = find_stream(handle);
  if (stream == nullptr) return report(cudaErrorInvalidResourceHandle, "no such stream");
  if (stream->capture != nullptr) return report(cudaErrorNotSupported, "memory nodes in graphs");
  return allocate(pointer, bytes, Kind::device);
}
cudaError_t cudaFree(void* pointer) {
  const cudaError_t status = cudaDeviceSynchronize();
  if (status != cudaSuccess && device().sticky == cudaSuccess) return status;
  const cudaError_t freed = release_memory(pointer);
  return status != cudaSuccess ? status : freed;
}
cudaError_t cudaFreeHost(void* pointer) { return cudaFree(pointer); }
cudaError_t cudaFreeAsync(void* pointer, cudaStream_t stream) {
  return submit(stream, [pointer] { return release_memory(pointer); });
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  *total = kSpaceBytes;
  *free = *total - device_space().used_bytes();
  return cudaSuccess;
}
// One pool, whose attributes change nothing that a program could see.
cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int) {
  *pool = nullptr;
  return cudaSuccess;
}
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) { return cudaSuccess; }

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind,
                            cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  Place source, target;
  if (const cudaError_t error = locate(from, bytes, source); error != cudaSuccess) return error;
  if (const cudaError_t error = locate(to, bytes, target); error != cudaSuccess) return error;
  if (source == Place::pageable) {
    // The driver takes pageable memory into its own before the call returns.
    const auto* first = static_cast<const unsigned char*>(from);
    auto staged = std::make_shared<const std::vector<unsigned char>>(first, first + bytes);
    return submit(stream, [to, staged] {
      std::memcpy(to, staged->data(), staged->size());
      return cudaSuccess;
    });
  }
  const cudaError_t submitted = submit(stream, [to, from, bytes] {
    std::memmove(to, from, bytes);
    return cudaSuccess;
  });
  // And returns from a copy to pageable memory when it is done.
  if (submitted != cudaSuccess || target != Place::pageable) return submitted;
  return cudaStreamSynchronize(stream);
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  if (const cudaError_t error = check_not_capturing(); error != cudaSuccess) return error;
  const cudaError_t error = cudaMemcpyAsync(to, from, bytes, kind, nullptr);
  return error != cudaSuccess ? error : cudaStreamSynchronize(nullptr);
}

cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  Place place;
  if (const cudaError_t error = locate(to, bytes, place); error != cudaSuccess) return error;
  return submit(stream, [to, value, bytes] {
    std::memset(to, value, bytes);
    return cudaSuccess;
  });
}

cudaError_t cudaMemset(void* to, int value, std::size_t bytes) {
  const cudaError_t error = cudaMemsetAsync(to, value, bytes, nullptr);
  return error != cudaSuccess ? error : cudaStreamSynchronize(nullptr);
}
