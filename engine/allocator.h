// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

namespace msd {

/// Where memory comes from and how the host reaches it. Allocators stack: each adaptor below wraps
/// another one, which must outlive it. Memory is aligned to kAlignment and never assumed zero.
/// Thread-safe where noted.
class Allocator {
 public:
  static constexpr std::int64_t kAlignment = 64;

  virtual ~Allocator() = default;
  /// bytes >= 0; throws OutOfMemory. Zero bytes give a pointer that may be null.
  virtual void* allocate(std::int64_t bytes) = 0;
  virtual void deallocate(void* memory, std::int64_t bytes) noexcept = 0;

  /// Whether host code may touch the memory; if not, only ops and the following do.
  virtual bool on_host() const = 0;
  /// Between this allocator's memory and the host's, either way, or within it: after all ops so
  /// far, and done when it returns.
  virtual void copy(void* to, const void* from, std::int64_t bytes) = 0;
  /// From the host's memory (not pinned) to this allocator's: read when it returns, there for later
  /// ops.
  virtual void upload(void* to, const void* host, std::int64_t bytes) = 0;
  /// Every byte of `memory` to `value`, after all ops so far and before later ones.
  virtual void set_bytes(void* memory, int value, std::int64_t bytes) = 0;
};

/// The host's heap. Thread-safe.
class SystemAllocator : public Allocator {
 public:
  void* allocate(std::int64_t bytes) override;
  void deallocate(void* memory, std::int64_t bytes) noexcept override;
  bool on_host() const override { return true; }
  void copy(void* to, const void* from, std::int64_t bytes) override;
  void upload(void* to, const void* host, std::int64_t bytes) override { copy(to, host, bytes); }
  void set_bytes(void* memory, int value, std::int64_t bytes) override;
};

/// The one for host memory that belongs to no device's runtime: files, copies to look at.
SystemAllocator& host_allocator();

/// Passes everything on; base of those that add something.
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
/// nobody wrote shows. For tests.
class PoisonAllocator : public AllocatorAdaptor {
 public:
  using AllocatorAdaptor::AllocatorAdaptor;
  void* allocate(std::int64_t bytes) override;
};

}  // namespace msd
