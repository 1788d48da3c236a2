// SPDX-License-Identifier: MIT
#include "engine/allocator.h"

#include <cstdlib>
#include <cstring>

#include "kernels/check.h"
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

}  // namespace msd
