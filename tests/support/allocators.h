// SPDX-License-Identifier: MIT
// Allocators that look at what passes through them, for Runtime::set_allocator. They stack.
#pragma once

#include <cstdint>

#include "engine/allocator.h"

namespace msd::test {

/// Passes everything on to another allocator, which must outlive it; base of those that add
/// something.
class AllocatorAdaptor : public Allocator {
 public:
  explicit AllocatorAdaptor(Allocator& upstream) : upstream_(upstream) {}
  void* allocate(std::int64_t bytes) override { return upstream_.allocate(bytes); }
  void deallocate(void* memory, std::int64_t bytes) noexcept override {
    upstream_.deallocate(memory, bytes);
  }
  bool on_host() const override { return upstream_.on_host(); }
  void copy(void* to, const void* from, std::int64_t bytes) override {
    upstream_.copy(to, from, bytes);
  }
  void upload(void* to, const void* host, std::int64_t bytes) override {
    upstream_.upload(to, host, bytes);
  }
  void set_bytes(void* memory, int value, std::int64_t bytes) override {
    upstream_.set_bytes(memory, value, bytes);
  }

 private:
  Allocator& upstream_;
};

/// Counts what passes through.
class StatisticsAllocator : public AllocatorAdaptor {
 public:
  using AllocatorAdaptor::AllocatorAdaptor;
  void* allocate(std::int64_t bytes) override;
  void deallocate(void* memory, std::int64_t bytes) noexcept override;

  std::int64_t allocations() const { return allocations_; }
  std::int64_t current_bytes() const { return current_bytes_; }
  std::int64_t peak_bytes() const { return peak_bytes_; }

 private:
  std::int64_t allocations_ = 0, current_bytes_ = 0, peak_bytes_ = 0;
};

/// Throws OutOfMemory, naming both figures, where more than `limit_bytes` would be in use at once.
class LimitAllocator : public AllocatorAdaptor {
 public:
  LimitAllocator(Allocator& upstream, std::int64_t limit_bytes)
      : AllocatorAdaptor(upstream), limit_bytes_(limit_bytes) {}
  void* allocate(std::int64_t bytes) override;
  void deallocate(void* memory, std::int64_t bytes) noexcept override;

 private:
  std::int64_t limit_bytes_, current_bytes_ = 0;
};

/// Fills what it hands out with 0xFF, a NaN in every floating-point type, so that a read of memory
/// nobody wrote shows.
class PoisonAllocator : public AllocatorAdaptor {
 public:
  using AllocatorAdaptor::AllocatorAdaptor;
  void* allocate(std::int64_t bytes) override;
};

}  // namespace msd::test
