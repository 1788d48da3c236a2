// SPDX-License-Identifier: MIT
#include "engine/allocator.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "kernels/error.h"
#include "kernels/view.h"

namespace msd {

void* SystemAllocator::allocate(std::int64_t bytes) {
  if (bytes <= 0) return nullptr;
  void* memory =
      std::aligned_alloc(kAlignment, static_cast<std::size_t>(round_up(bytes, kAlignment)));
  if (memory == nullptr) {
    throw OutOfMemory(message("the host has no ", bytes, " bytes left; use a smaller batch"));
  }
  return memory;
}

void SystemAllocator::deallocate(void* memory, std::int64_t) noexcept { std::free(memory); }

void SystemAllocator::copy(void* to, const void* from, std::int64_t bytes) {
  if (bytes > 0) std::memmove(to, from, static_cast<std::size_t>(bytes));
}

void SystemAllocator::set_bytes(void* memory, int value, std::int64_t bytes) {
  if (bytes > 0) std::memset(memory, value, static_cast<std::size_t>(bytes));
}

SystemAllocator& host_allocator() {
  static SystemAllocator allocator;
  return allocator;
}

void* StatisticsAllocator::allocate(std::int64_t bytes) {
  void* memory = AllocatorAdaptor::allocate(bytes);
  ++allocations_;
  current_bytes_ += bytes;
  peak_bytes_ = std::max(peak_bytes_, current_bytes_);
  return memory;
}

void StatisticsAllocator::deallocate(void* memory, std::int64_t bytes) noexcept {
  AllocatorAdaptor::deallocate(memory, bytes);
  current_bytes_ -= bytes;
}

void* LimitAllocator::allocate(std::int64_t bytes) {
  if (bytes > limit_bytes_ - current_bytes_) {
    throw OutOfMemory(message("a limit of ", limit_bytes_, " bytes: ", current_bytes_, " in use, ",
                              bytes, " more wanted"));
  }
  void* memory = AllocatorAdaptor::allocate(bytes);
  current_bytes_ += bytes;
  return memory;
}

void LimitAllocator::deallocate(void* memory, std::int64_t bytes) noexcept {
  AllocatorAdaptor::deallocate(memory, bytes);
  current_bytes_ -= bytes;
}

void* PoisonAllocator::allocate(std::int64_t bytes) {
  void* memory = AllocatorAdaptor::allocate(bytes);
  set_bytes(memory, 0xFF, bytes);
  return memory;
}

}  // namespace msd
