// SPDX-License-Identifier: MIT
#pragma once

#include "engine/allocator.h"
#include "kernels/cuda/device/stream.h"

namespace msd {

/// A GPU's memory, in the order of one stream. Serves the stream's thread.
class DeviceAllocator : public Allocator {
 public:
  /// The stream must outlive the allocator.
  explicit DeviceAllocator(cuda::Stream& stream) : stream_(stream) {}
  void* allocate(std::int64_t bytes) override { return stream_.allocate(bytes); }
  void deallocate(void* memory, std::int64_t) noexcept override { stream_.release(memory); }
  bool on_host() const override { return false; }
  void copy(void* to, const void* from, std::int64_t bytes) override;
  void upload(void* to, const void* host, std::int64_t bytes) override {
    stream_.copy(to, host, bytes);
  }
  void set_bytes(void* memory, int value, std::int64_t bytes) override {
    stream_.set_bytes(memory, value, bytes);
  }

 private:
  cuda::Stream& stream_;
};

}  // namespace msd
