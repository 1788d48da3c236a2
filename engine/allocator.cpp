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

void* StatisticsAllocator::allocate(std::int64_t bytes) {
  void* memory = upstream_.allocate(bytes);
  ++allocations_;
  current_bytes_ += bytes;
  peak_bytes_ = std::max(peak_bytes_, current_bytes_);
  return memory;
}

void StatisticsAllocator::deallocate(void* memory, std::int64_t bytes) noexcept {
  upstream_.deallocate(memory, bytes);
  current_bytes_ -= bytes;
}

void* LimitAllocator::allocate(std::int64_t bytes) {
  if (bytes > limit_bytes_ - current_bytes_) {
    throw OutOfMemory(message("a limit of ", limit_bytes_, " bytes: ", current_bytes_, " in use, ",
                              bytes, " more wanted"));
  }
  void* memory = upstream_.allocate(bytes);
  current_bytes_ += bytes;
  return memory;
}

void LimitAllocator::deallocate(void* memory, std::int64_t bytes) noexcept {
  upstream_.deallocate(memory, bytes);
  current_bytes_ -= bytes;
}

void* PoisonAllocator::allocate(std::int64_t bytes) {
  void* memory = upstream_.allocate(bytes);
  if (bytes > 0) std::memset(memory, 0xFF, static_cast<std::size_t>(bytes));
  return memory;
}

void PoisonAllocator::deallocate(void* memory, std::int64_t bytes) noexcept {
  upstream_.deallocate(memory, bytes);
}

}  // namespace msd
