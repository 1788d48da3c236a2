// SPDX-License-Identifier: MIT
// Stands in for NVIDIA's header of this name; see cuda_runtime.h beside it. There is no arithmetic
// on purpose: kernels compute in float.
#pragma once

// NOLINTBEGIN: NVIDIA's names

#include <cstdint>
#include <cstring>

struct alignas(2) __nv_bfloat16 {
  std::uint16_t bits;
};

inline float __bfloat162float(__nv_bfloat16 value) {
  const std::uint32_t bits = std::uint32_t{value.bits} << 16;
  float result;
  std::memcpy(&result, &bits, sizeof(result));
  return result;
}

/// To nearest, ties to even; NaN becomes the canonical one, as on the device.
inline __nv_bfloat16 __float2bfloat16_rn(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return {0x7FFF};
  bits += 0x7FFFu + (bits >> 16 & 1u);
  return {static_cast<std::uint16_t>(bits >> 16)};
}

inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 value) { return value.bits; }
inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short bits) { return {bits}; }
// NOLINTEND
