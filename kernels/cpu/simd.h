// SPDX-License-Identifier: MIT
// Vectors of the widest register of the instruction set a source is compiled for, on the compiler's
// vector extension: + - * work lane by lane, a*b + c contracts to one FMA where there is one.
#pragma once

#if defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#endif

#include <cstdint>
#include <cstring>

#include "kernels/cpu/body.h"

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
  typedef T unaligned  // NOLINT
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

/// max(v, 0) lane by lane; NaN stays NaN.
template <typename T>
MSD_INLINE Vec<T> relu(Vec<T> v) {
  return v < Vec<T>{} ? Vec<T>{} : v;
}

}  // namespace msd::cpu::MSD_ISA
