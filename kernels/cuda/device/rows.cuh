// SPDX-License-Identifier: MIT
// When rows of channels may be moved 16 bytes at a time.
#pragma once

#include "kernels/cuda/device/group.cuh"

namespace msd::cuda {

/// Elements of 16 bytes.
template <typename T>
inline constexpr int kVector = static_cast<int>(16 / sizeof(T));

/// Whether rows of `channels` elements, a pitch apart, are whole aligned vectors.
inline bool in_vectors(const void* data, std::int64_t channels, std::int64_t pitch,
                       std::int64_t rows, int vector) {
  return reinterpret_cast<std::uintptr_t>(data) % 16 == 0 && channels % vector == 0 &&
         (rows == 1 || pitch % vector == 0);
}

}  // namespace msd::cuda
