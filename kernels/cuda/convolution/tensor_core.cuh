// SPDX-License-Identifier: MIT
// What kernels on the tensor cores share: chunks of 16 bytes that come to shared memory
// asynchronously from slices at any element, slices of K some stages ahead, and products of float
// or bf16 fragments.
#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/cuda/device/context.h"
#include "kernels/cuda/device/device_code.cuh"
#include "kernels/view.h"

namespace msd::cuda {

/// How factors are multiplied. bf16: bf16 factors; tf32: floats rounded to tf32; tf32x3: floats as
/// a sum of two tf32, of which the product of the small parts (2^-22 of the whole) is dropped.
/// Sums are float in all.
enum class MathMode : std::uint8_t { bf16, tf32, tf32x3 };

/// Calls body.template operator()<kMode>() with the mode of factors T in this context.
template <typename T, typename Body>
void with_math_mode(const Context& context, Body&& body) {
  if constexpr (std::is_same_v<T, bfloat16>) {
    body.template operator()<MathMode::bf16>();
  } else if (context.allow_tf32) {
    body.template operator()<MathMode::tf32>();
  } else {
    body.template operator()<MathMode::tf32x3>();
  }
}

inline constexpr int kChunkBytes = 16;

struct alignas(kChunkBytes) Chunk {
  unsigned char bytes[kChunkBytes];
};

/// Of `elems` elements (may be negative), what lies in one chunk.
template <typename T>
MSD_DEVICE int chunk_bytes(int elems) {
  const int bytes = elems * static_cast<int>(sizeof(T));
  return bytes < 0 ? 0 : bytes < kChunkBytes ? bytes : kChunkBytes;
}

/// kUnit bytes at a time of one chunk: the first `bytes` (0 to 16) from `from`, then zeros.
template <int kUnit>
MSD_DEVICE void copy_chunk_by(Chunk* to, const unsigned char* from, int bytes) {
  MSD_UNROLL for (int at = 0; at < kChunkBytes; at += kUnit) {
    const int left = bytes - at;
    const int part = left < 0 ? 0 : left < kUnit ? left : kUnit;
    copy_async_part<kUnit>(to->bytes + at, part > 0 ? from + at : from, part);
  }
}

/// cp.async moves at least 4 bytes to addresses of 4; a bf16 slice may start at a multiple of 2.
MSD_DEVICE void copy_chunk(Chunk* to, const void* from, int bytes, int copy_bytes) {
  const auto* source = static_cast<const unsigned char*>(from);
  switch (copy_bytes) {
    case 16:
      return copy_chunk_by<16>(to, source, bytes);
    case 8:
      return copy_chunk_by<8>(to, source, bytes);
    case 4:
      return copy_chunk_by<4>(to, source, bytes);
    default: {
      auto* elements = reinterpret_cast<std::uint16_t*>(to->bytes);
      for (int i = 0; i < kChunkBytes / 2; ++i) {
        elements[i] = 2 * i < bytes ? static_cast<const std::uint16_t*>(from)[i] : 0;
      }
    }
  }
}

/// copy_chunk's copy_bytes for chunks of a view's rows: the largest of 16, 8, 4 and 2 that divides
/// address and pitch.
inline int copy_bytes_of(const ConstView& view) {
  const auto bits =
      reinterpret_cast<std::uintptr_t>(view.data) |
      static_cast<std::uintptr_t>(view.pitch) * static_cast<std::uintptr_t>(size_bytes(view.dtype));
  return bits % 16 == 0 ? 16 : bits % 8 == 0 ? 8 : bits % 4 == 0 ? 4 : 2;
}

/// Calls load(stage), which starts copies into that stage, for each of the slices, and use(stage)
/// when they have landed, kStages - 1 slices later.
template <int kStages, typename Load, typename Use>
MSD_DEVICE void for_each_slice(int slices, Load load, Use use) {
  constexpr int kAhead = kStages - 1;
  for (int slice = 0; slice < kAhead; ++slice) {
    if (slice < slices) load(slice);
    copy_commit();
  }
  for (int slice = 0; slice < slices; ++slice) {
    copy_wait<kAhead - 1>();
    block_sync();  // the slice is there, and nobody reads the one before any more
    const int next = slice + kAhead;
    if (next < slices) load(next % kStages);
    copy_commit();
    use(slice % kStages);
  }
}

/// sums += a*b of 32 bytes of K: mma_m16n8k16's fragments of bf16, mma_m16n8k8's of floats.
template <MathMode kMode>
MSD_DEVICE void multiply(float (&sums)[4], const std::uint32_t (&a)[4],
                         const std::uint32_t (&b)[2] MSD_CALLER) {
  if constexpr (kMode == MathMode::bf16) {
    mma_m16n8k16(sums, a, b MSD_PASS_CALLER);
  } else {
    std::uint32_t a_large[4], b_large[2], a_small[4], b_small[2];
    const auto split = [](std::uint32_t bits, std::uint32_t& large, std::uint32_t& small) {
      const float value = __uint_as_float(bits);
      large = to_tf32(value);
      small = to_tf32(value - __uint_as_float(large));
    };
    MSD_UNROLL for (int i = 0; i < 4; ++i) split(a[i], a_large[i], a_small[i]);
    for (int i = 0; i < 2; ++i) split(b[i], b_large[i], b_small[i]);
    if constexpr (kMode == MathMode::tf32x3) {
      mma_m16n8k8(sums, a_small, b_large MSD_PASS_CALLER);
      mma_m16n8k8(sums, a_large, b_small MSD_PASS_CALLER);
    }
    mma_m16n8k8(sums, a_large, b_large MSD_PASS_CALLER);
  }
}

}  // namespace msd::cuda
