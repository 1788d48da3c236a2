// SPDX-License-Identifier: MIT
// Where the emulated device's memory lies: addresses the host cannot reach while the device does
// not work, so that host code that reads or writes device memory dies as it would with a GPU.
#pragma once

#include <cstddef>
#include <map>

namespace msd::emulation {

inline constexpr std::size_t kSpaceBytes = std::size_t{4} << 30;  // of device memory

class DeviceSpace {
 public:
  DeviceSpace();

  /// 256-aligned, apart from its neighbours by a gap that AddressSanitizer knows; nullptr where
  /// none is left.
  void* allocate(std::size_t bytes);
  void release(void* pointer, std::size_t bytes);
  std::size_t used_bytes() const { return used_bytes_; }

 private:
  friend class DeviceAccess;
  void set_reachable(bool reachable);

  unsigned char* base_ = nullptr;
  std::size_t top_ = 0;                      // all allocations lie below
  std::size_t used_bytes_ = 0;               // with their gaps
  std::map<std::size_t, std::size_t> free_;  // offset -> bytes, below top_
  int depth_ = 0;                            // of DeviceAccess
};

DeviceSpace& device_space();

/// Lets this process reach device memory for as long as it lives; nests.
class DeviceAccess {
 public:
  DeviceAccess() { ++device_space().depth_ == 1 ? device_space().set_reachable(true) : void(); }
  ~DeviceAccess() { --device_space().depth_ == 0 ? device_space().set_reachable(false) : void(); }
  DeviceAccess(const DeviceAccess&) = delete;
  DeviceAccess& operator=(const DeviceAccess&) = delete;
};

}  // namespace msd::emulation
