// SPDX-License-Identifier: MIT
#pragma once

#include <utility>

namespace msd::cuda {

/// Owns what a C library hands out as a pointer or an opaque handle; kDestroy swallows errors.
template <typename T, void (*kDestroy)(T) noexcept>
class UniqueHandle {
 public:
  UniqueHandle() = default;
  explicit UniqueHandle(T handle) : handle_(handle) {}
  UniqueHandle(UniqueHandle&& other) noexcept : handle_(std::exchange(other.handle_, T{})) {}
  UniqueHandle& operator=(UniqueHandle&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~UniqueHandle() {
    if (handle_ != T{}) kDestroy(handle_);
  }
  T get() const { return handle_; }
  explicit operator bool() const { return handle_ != T{}; }

 private:
  T handle_{};
};

}  // namespace msd::cuda
