// SPDX-License-Identifier: MIT
// Elements as kernels compute with them: their types, numbers and vectors.
#pragma once

#include <limits>
#include <type_traits>

#include "kernels/cuda/device/device_code.cuh"
#include "kernels/view.h"

namespace msd::cuda {

template <typename T>
inline constexpr DType kDeviceDType = kDTypeOf<T>;
template <>
inline constexpr DType kDeviceDType<bfloat16> = DType::bf16;

/// The type of an op's sums, statistics and arithmetic; see accumulator_of.
template <typename T>
using Accumulator = std::conditional_t<std::is_same_v<T, bfloat16>, float, T>;

MSD_DEVICE float widen(float value) { return value; }
MSD_DEVICE double widen(double value) { return value; }
MSD_DEVICE float widen(bfloat16 value) { return to_float(value); }
template <typename T>
MSD_DEVICE T narrow(Accumulator<T> value) {
  if constexpr (std::is_same_v<T, bfloat16>) {
    return to_bfloat16(value);
  } else {
    return value;
  }
}

/// One rounding, on the emulated device too, so that two kernels agree bit for bit.
MSD_DEVICE float multiply_add(float a, float b, float c) { return fmaf(a, b, c); }
MSD_DEVICE double multiply_add(double a, double b, double c) { return fma(a, b, c); }

// By value: std::numeric_limits has these as functions of the host.
template <typename T>
inline constexpr T kInfinity = std::numeric_limits<T>::infinity();
template <typename T>
inline constexpr T kNaN = std::numeric_limits<T>::quiet_NaN();
/// The least normal float.
inline constexpr double kLeastFloat = std::numeric_limits<float>::min();

// Rows of channels are moved 16 bytes at a time where they can.

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
