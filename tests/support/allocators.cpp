// SPDX-License-Identifier: MIT
#include "tests/support/allocators.h"

#include <algorithm>

#include "kernels/check.h"

namespace msd::test {

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

}  // namespace msd::test
