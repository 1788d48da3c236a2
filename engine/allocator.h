// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace msd {

/// Where memory comes from and how the host reaches it. Memory is aligned to kAlignment and never
/// assumed zero. Thread-safe where noted.
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

}  // namespace msd
