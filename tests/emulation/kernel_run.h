// SPDX-License-Identifier: MIT
// Runs small kernels for the tests of the emulated device.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "kernels/cuda/device/device_code.cuh"
#include "tests/emulation/emulation.h"

namespace msd::emulation::test {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kAsan = true;
#else
inline constexpr bool kAsan = false;
#endif
#if defined(__SANITIZE_THREAD__)
inline constexpr bool kTsan = true;
#else
inline constexpr bool kTsan = false;
#endif

inline constexpr Order kOrders[] = {Order::forward, Order::reverse, Order::random, Order::unfair};

/// Starts from a device without errors or work.
inline void start(Order order, std::uint64_t seed, unsigned char poison = 0xFF) {
  reset();
  configure({order, seed, poison});
}

/// Floats in managed memory, which the host may read: poison, or the values given.
class Floats {
 public:
  explicit Floats(std::size_t count) : count_(count) {
    MSD_CUDA_CHECK(cudaMallocManaged(&data_, count * sizeof(float)));
  }
  explicit Floats(const std::vector<float>& values) : Floats(values.size()) {
    std::memcpy(data_, values.data(), count_ * sizeof(float));
  }
  Floats(const Floats&) = delete;
  Floats& operator=(const Floats&) = delete;
  ~Floats() { cudaFree(data_); }

  float* data() { return data_; }
  std::vector<float> values() const { return {data_, data_ + count_}; }

 private:
  std::size_t count_;
  float* data_ = nullptr;
};

/// 0, 1, 2, ...
inline std::vector<float> ramp(std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i);
  return values;
}

/// Bits, so that NaN equals itself.
inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

/// The error text after all work so far, or "".
inline std::string failure() {
  const cudaError_t error = cudaDeviceSynchronize();
  return error == cudaSuccess ? "" : cudaGetErrorString(error);
}

}  // namespace msd::emulation::test
