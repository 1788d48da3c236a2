// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

namespace msd {

/// Where memory comes from. Allocators stack: each adaptor below wraps another one, which must
/// outlive it. Memory is aligned to kAlignment and never assumed zero. Thread-safe where noted.
class Allocator {
 public:
  static constexpr std::int64_t kAlignment = 64;

  virtual ~Allocator() = default;
  /// bytes >= 0; throws OutOfMemory. Zero bytes give a pointer that may be null.
  virtual void* allocate(std::int64_t bytes) = 0;
  virtual void deallocate(void* memory, std::int64_t bytes) noexcept = 0;
};

/// The host's heap. Thread-safe.
class SystemAllocator : public Allocator {
 public:
  void* allocate(std::int64_t bytes) override;
  void deallocate(void* memory, std::int64_t bytes) noexcept override;
};

/// Counts what passes through.
class StatisticsAllocator : public Allocator {
 public:
  explicit StatisticsAllocator(Allocator& upstream) : upstream_(upstream) {}
  void* allocate(std::int64_t bytes) override;
  void deallocate(void* memory, std::int64_t bytes) noexcept override;

  std::int64_t allocations() const { return allocations_; }
  std::int64_t current_bytes() const { return current_bytes_; }
  std::int64_t peak_bytes() const { return peak_bytes_; }

 private:
  Allocator& upstream_;
  std::int64_t allocations_ = 0, current_bytes_ = 0, peak_bytes_ = 0;
};

/// Throws OutOfMemory, naming both figures, where more than `limit_bytes` would be in use at once.
class LimitAllocator : public Allocator {
 public:
  LimitAllocator(Allocator& upstream, std::int64_t limit_bytes)
      : upstream_(upstream), limit_bytes_(limit_bytes) {}
  void* allocate(std::int64_t bytes) override;
  void deallocate(void* memory, std::int64_t bytes) noexcept override;

 private:
  Allocator& upstream_;
  std::int64_t limit_bytes_, current_bytes_ = 0;
};

/// Fills what it hands out with 0xFF, a NaN in every floating-point type, so that a read of memory
/// nobody wrote shows. For tests.
class PoisonAllocator : public Allocator {
 public:
  explicit PoisonAllocator(Allocator& upstream) : upstream_(upstream) {}
  void* allocate(std::int64_t bytes) override;
  void deallocate(void* memory, std::int64_t bytes) noexcept override;

 private:
  Allocator& upstream_;
};

}  // namespace msd
