// SPDX-License-Identifier: MIT
// In a file of its own: inlined next to their callers, GCC 12 takes these for mismatched pairs.
#include "tests/data/allocations.h"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace {
std::atomic<long> counter{0};
}

long msd::allocations() { return counter.load(); }

void* operator new(std::size_t bytes) {
  counter.fetch_add(1, std::memory_order_relaxed);
  if (void* p = std::malloc(bytes)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
