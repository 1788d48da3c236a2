// SPDX-License-Identifier: MIT
// Vectors of the widest register of the instruction set a source is compiled for, on the compiler's
// vector extension: + - * work lane by lane; a*b + c mostly contracts to one FMA where there is
// one, and always does as multiply_add or add_product.
#pragma once

#if defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#endif

#include <cstdint>
#include <cstring>

#include "kernels/cpu/device/body.h"

namespace msd::cpu::MSD_ISA {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
inline constexpr int kVectorRegisters = 32;
#elif defined(__AVX2__)
inline constexpr int kVectorBytes = 32;
inline constexpr int kVectorRegisters = 16;
#else
inline constexpr int kVectorBytes = 16;
inline constexpr int kVectorRegisters = 16;
#endif

template <typename T>
struct VectorOf {
  typedef T type __attribute__((vector_size(kVectorBytes)));  // NOLINT: the attribute needs it
  typedef T unaligned                                         // NOLINT
      __attribute__((vector_size(kVectorBytes), aligned(alignof(T)), may_alias));
};

template <typename T>
using Vec = typename VectorOf<T>::type;

template <typename T>
inline constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));

#define MSD_INLINE __attribute__((always_inline)) inline

template <typename T>
MSD_INLINE Vec<T> load(const T* p) {
  return *reinterpret_cast<const typename VectorOf<T>::unaligned*>(p);
}
template <typename T>
MSD_INLINE void store(T* p, Vec<T> v) {
  *reinterpret_cast<typename VectorOf<T>::unaligned*>(p) = v;
}
template <typename T>
MSD_INLINE Vec<T> broadcast(T value) {
  return value - Vec<T>{};
}

/// a*b + c with one rounding where the instruction set has it, and then always: the compiler fuses
/// a written a*b + c in most places but not in all (not across basic blocks), so bits that must not
/// depend on the code around them need this.
MSD_INLINE Vec<float> multiply_add(Vec<float> a, Vec<float> b, Vec<float> c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__FMA__)
  return _mm256_fmadd_ps(a, b, c);
#elif defined(__FP_FAST_FMAF)
  for (int i = 0; i < kLanes<float>; ++i) c[i] = __builtin_fmaf(a[i], b[i], c[i]);
  return c;
#else
  return a * b + c;
#endif
}
MSD_INLINE Vec<double> multiply_add(Vec<double> a, Vec<double> b, Vec<double> c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_pd(a, b, c);
#elif defined(__FMA__)
  return _mm256_fmadd_pd(a, b, c);
#elif defined(__FP_FAST_FMA)
  for (int i = 0; i < kLanes<double>; ++i) c[i] = __builtin_fma(a[i], b[i], c[i]);
  return c;
#else
  return a * b + c;
#endif
}

/// sum += a*b by multiply_add: GCC 14 leaves the two unfused in tiles of some sizes, and then a
/// pixel's bits depend on its tile.
MSD_INLINE void add_product(Vec<float>& sum, Vec<float> a, Vec<float> b) {
  sum = multiply_add(a, b, sum);
}
MSD_INLINE void add_product(Vec<double>& sum, Vec<double> a, Vec<double> b) {
  sum = multiply_add(a, b, sum);
}

/// Lanes [0, count) from p, the others 0; p[count] and beyond are not touched. 0 <= count <= lanes.
MSD_INLINE Vec<float> load_partial(const float* p, int count) {
#if defined(__AVX512F__)
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1u), p);
#elif defined(__AVX2__)
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_maskload_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32(count), lanes));
#else
  Vec<float> v{};
  for (int i = 0; i < count; ++i) v[i] = p[i];
  return v;
#endif
}
MSD_INLINE Vec<double> load_partial(const double* p, int count) {
#if defined(__AVX512F__)
  return _mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << count) - 1u), p);
#else
  Vec<double> v{};
  for (int i = 0; i < count; ++i) v[i] = p[i];
  return v;
#endif
}

/// Writes lanes [0, count) only.
MSD_INLINE void store_partial(float* p, Vec<float> v, int count) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << count) - 1u), v);
#elif defined(__AVX2__)
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  _mm256_maskstore_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32(count), lanes), v);
#else
  for (int i = 0; i < count; ++i) p[i] = v[i];
#endif
}
MSD_INLINE void store_partial(double* p, Vec<double> v, int count) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << count) - 1u), v);
#else
  for (int i = 0; i < count; ++i) p[i] = v[i];
#endif
}

/// load_partial with predictable branches where there is no masked load, for loops in which count
/// stays the same. count >= 1.
template <typename T>
MSD_INLINE Vec<T> load_head(const T* p, int count) {
#if defined(__AVX512F__)
  return load_partial(p, count);
#else
#if defined(__AVX2__)
  if constexpr (sizeof(T) == 4) return load_partial(p, count);
#endif
  if (count == kLanes<T>) return load(p);
  constexpr int kLane = kLanes<T>;
  if constexpr (kLane > 2) {  // built from values: a vector filled in memory stalls its load
    if (count == 3) return Vec<T>{p[0], p[1], p[2]};
    if (count == 2) return Vec<T>{p[0], p[1]};
  }
  return Vec<T>{p[0]};
#endif
}

/// store_partial with predictable branches instead of a mask, for loops in which count stays the
/// same: AVX2's masked store takes about 12 cycles on AMD before Zen 4. count >= 1.
MSD_INLINE void store_head(float* p, Vec<float> v, int count) {
#if defined(__AVX512F__)
  store_partial(p, v, count);
#else
  if (count == kLanes<float>) return store(p, v);
#if defined(__AVX2__)
  __m128 part = _mm256_castps256_ps128(v);
  if (count & 4) {
    _mm_storeu_ps(p, part);
    part = _mm256_extractf128_ps(v, 1);
    p += 4;
  }
#else
  const Vec<float> part = v;
#endif
  float last = part[0];
  if (count & 2) {
    std::memcpy(p, &part, 2 * sizeof(float));
    last = part[2];
    p += 2;
  }
  if (count & 1) *p = last;
#endif
}
MSD_INLINE void store_head(double* p, Vec<double> v, int count) {
#if defined(__AVX512F__)
  store_partial(p, v, count);
#else
  if (count == kLanes<double>) return store(p, v);
  double last = v[0];
  if (count & 2) {
    std::memcpy(p, &v, 2 * sizeof(double));
    last = v[kLanes<double> - 2];  // lane 2 of 4
    p += 2;
  }
  if (count & 1) *p = last;
#endif
}

/// max(v, 0) lane by lane; NaN stays NaN (the maximum instructions return their second operand).
template <typename T>
MSD_INLINE Vec<T> relu(Vec<T> v) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) return _mm512_maskz_max_ps(0xFFFF, Vec<T>{}, v);
  if constexpr (sizeof(T) == 8) return _mm512_maskz_max_pd(0xFF, Vec<T>{}, v);
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4) return _mm256_max_ps(Vec<T>{}, v);
  if constexpr (sizeof(T) == 8) return _mm256_max_pd(Vec<T>{}, v);
#endif
  return v < Vec<T>{} ? Vec<T>{} : v;
}

}  // namespace msd::cpu::MSD_ISA
