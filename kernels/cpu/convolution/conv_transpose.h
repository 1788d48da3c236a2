// SPDX-License-Identifier: MIT
// Between rows of channels and planes of pixels, a vector of pixels at a time. AVX-512 only.
// A vector is four blocks of 128 bits, of kBlock elements; squares of kBlock x kBlock are
// transposed inside equal blocks, then blocks move.
#pragma once

#include <type_traits>

#include "kernels/cpu/device/simd.h"

#if defined(__AVX512F__)

namespace msd::cpu::MSD_ISA {

template <typename T>
inline constexpr int kBlock = 16 / static_cast<int>(sizeof(T));

// A quarter or half of a vector: the first `count` elements at p.
MSD_INLINE __m128 load_quarter(const float* p, int count) {
  return _mm_maskz_loadu_ps(static_cast<__mmask8>((1u << count) - 1u), p);
}
MSD_INLINE __m128d load_quarter(const double* p, int count) {
  return _mm_maskz_loadu_pd(static_cast<__mmask8>((1u << count) - 1u), p);
}
MSD_INLINE __m256 load_half(const float* p, int count) {
  return _mm256_maskz_loadu_ps(static_cast<__mmask8>((1u << count) - 1u), p);
}
MSD_INLINE __m256d load_half(const double* p, int count) {
  return _mm256_maskz_loadu_pd(static_cast<__mmask8>((1u << count) - 1u), p);
}
MSD_INLINE void store_quarter(float* p, __m128 v, int count) {
  _mm_mask_storeu_ps(p, static_cast<__mmask8>((1u << count) - 1u), v);
}
MSD_INLINE void store_quarter(double* p, __m128d v, int count) {
  _mm_mask_storeu_pd(p, static_cast<__mmask8>((1u << count) - 1u), v);
}
MSD_INLINE void store_half(float* p, __m256 v, int count) {
  _mm256_mask_storeu_ps(p, static_cast<__mmask8>((1u << count) - 1u), v);
}
MSD_INLINE void store_half(double* p, __m256d v, int count) {
  _mm256_mask_storeu_pd(p, static_cast<__mmask8>((1u << count) - 1u), v);
}

MSD_INLINE Vec<float> join(__m256 a, __m256 b) {
  return __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
MSD_INLINE Vec<double> join(__m256d a, __m256d b) {
  return __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7);
}
MSD_INLINE Vec<float> join(__m128 a, __m128 b, __m128 c, __m128 d) {
  return join(__builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7),
              __builtin_shufflevector(c, d, 0, 1, 2, 3, 4, 5, 6, 7));
}
MSD_INLINE Vec<double> join(__m128d a, __m128d b, __m128d c, __m128d d) {
  return join(__builtin_shufflevector(a, b, 0, 1, 2, 3), __builtin_shufflevector(c, d, 0, 1, 2, 3));
}
template <int B>
MSD_INLINE __m128 quarter(Vec<float> v) {
  return __builtin_shufflevector(v, v, 4 * B, 4 * B + 1, 4 * B + 2, 4 * B + 3);
}
template <int B>
MSD_INLINE __m128d quarter(Vec<double> v) {
  return __builtin_shufflevector(v, v, 2 * B, 2 * B + 1);
}
template <int B>
MSD_INLINE __m256 half(Vec<float> v) {
  return __builtin_shufflevector(v, v, 8 * B, 8 * B + 1, 8 * B + 2, 8 * B + 3, 8 * B + 4, 8 * B + 5,
                                 8 * B + 6, 8 * B + 7);
}
template <int B>
MSD_INLINE __m256d half(Vec<double> v) {
  return __builtin_shufflevector(v, v, 4 * B, 4 * B + 1, 4 * B + 2, 4 * B + 3);
}

// Blocks of a and b, by their numbers, 4 to 7 for b's.
template <int B0, int B1, int B2, int B3, typename T>
MSD_INLINE T blocks(T a, T b) {
  return reinterpret_cast<T>(__builtin_shufflevector(
      reinterpret_cast<Vec<double>>(a), reinterpret_cast<Vec<double>>(b), 2 * B0, 2 * B0 + 1,
      2 * B1, 2 * B1 + 1, 2 * B2, 2 * B2 + 1, 2 * B3, 2 * B3 + 1));
}
MSD_INLINE Vec<double> interleave_low(Vec<double> a, Vec<double> b) {
  return __builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14);
}
MSD_INLINE Vec<double> interleave_high(Vec<double> a, Vec<double> b) {
  return __builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15);
}

/// Transposes the kBlock x kBlock squares that equal blocks of the vectors form.
MSD_INLINE void transpose_squares(Vec<double> (&r)[2]) {
  const Vec<double> low = interleave_low(r[0], r[1]);
  r[1] = interleave_high(r[0], r[1]);
  r[0] = low;
}
MSD_INLINE void transpose_squares(Vec<float> (&r)[4]) {
  const auto low = [](Vec<float> a, Vec<float> b) __attribute__((always_inline)) {
    return reinterpret_cast<Vec<double>>(
        __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29));
  };
  const auto high = [](Vec<float> a, Vec<float> b) __attribute__((always_inline)) {
    return reinterpret_cast<Vec<double>>(
        __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31));
  };
  const Vec<double> a = low(r[0], r[1]), b = high(r[0], r[1]);
  const Vec<double> c = low(r[2], r[3]), d = high(r[2], r[3]);
  r[0] = reinterpret_cast<Vec<float>>(interleave_low(a, c));
  r[1] = reinterpret_cast<Vec<float>>(interleave_high(a, c));
  r[2] = reinterpret_cast<Vec<float>>(interleave_low(b, d));
  r[3] = reinterpret_cast<Vec<float>>(interleave_high(b, d));
}

/// Runs of pixels that fill a vector: H of lanes/H, of which the first count[i] exist. T is const
/// where they are read.
template <typename T, int H>
struct PixelRuns {
  T* at[H];
  int count[H];
  std::int64_t pixel;         // elements from one pixel to the next
  std::int64_t prefetch = 0;  // elements from a pixel to one to fetch early

  bool whole() const {
    bool all = true;
    for (const int n : count) all = all && n == kLanes<std::remove_const_t<T>> / H;
    return all;
  }
};

/// Transposes c channels of runs of pixels to c planes, run i to to[i]. Whole: all pixels exist.
template <bool Whole, typename T, int H>
MSD_INLINE void pixels_to_planes(const PixelRuns<const T, H>& runs, std::int64_t c,
                                 T* const (&to)[H], std::int64_t plane) {
  constexpr int kE = kBlock<T>, kL = kLanes<T>, kRun = kL / H;
  std::int64_t first = 0;  // channel
  const auto at = [&](int i) __attribute__((always_inline)) {
    const int run = i / kRun, p = i % kRun, last = runs.count[run] - 1;
    return runs.at[run] + (Whole || p < last ? p : last) * runs.pixel + first;
  };
  const auto fetch = [&]() __attribute__((always_inline)) {
    if (runs.prefetch == 0) return;
#pragma GCC unroll 16
    for (int i = 0; i < kL; ++i) __builtin_prefetch(at(i) + runs.prefetch);
  };
  const auto put = [&](std::int64_t channel, Vec<T> v) __attribute__((always_inline)) {
    const std::int64_t offset = (first + channel) * plane;
    if constexpr (H == 1) {
      Whole ? store(to[0] + offset, v) : store_partial(to[0] + offset, v, runs.count[0]);
    } else {
      store_half(to[0] + offset, half<0>(v), Whole ? kRun : runs.count[0]);
      store_half(to[1] + offset, half<1>(v), Whole ? kRun : runs.count[1]);
    }
  };
  while (first < c) {
    fetch();
    if (c - first >= kL) {
      Vec<T> r[4][kE];
#pragma GCC unroll 4
      for (int g = 0; g < 4; ++g) {
#pragma GCC unroll 4
        for (int i = 0; i < kE; ++i) r[g][i] = load(at(g * kE + i));
        transpose_squares(r[g]);
      }
#pragma GCC unroll 4
      for (int j = 0; j < kE; ++j) {
        const Vec<T> even01 = blocks<0, 2, 4, 6>(r[0][j], r[1][j]);
        const Vec<T> odd01 = blocks<1, 3, 5, 7>(r[0][j], r[1][j]);
        const Vec<T> even23 = blocks<0, 2, 4, 6>(r[2][j], r[3][j]);
        const Vec<T> odd23 = blocks<1, 3, 5, 7>(r[2][j], r[3][j]);
        put(j, blocks<0, 2, 4, 6>(even01, even23));
        put(kE + j, blocks<0, 2, 4, 6>(odd01, odd23));
        put(2 * kE + j, blocks<1, 3, 5, 7>(even01, even23));
        put(3 * kE + j, blocks<1, 3, 5, 7>(odd01, odd23));
      }
      first += kL;
    } else if (c - first > kE) {
      const int channels = c - first < 2 * kE ? static_cast<int>(c - first) : 2 * kE;
      Vec<T> r[2][kE];
#pragma GCC unroll 2
      for (int g = 0; g < 2; ++g) {
#pragma GCC unroll 4
        for (int i = 0; i < kE; ++i) {
          r[g][i] = join(load_half(at(2 * g * kE + i), channels),
                         load_half(at((2 * g + 1) * kE + i), channels));
        }
        transpose_squares(r[g]);
      }
#pragma GCC unroll 4
      for (int j = 0; j < kE; ++j) {
        put(j, blocks<0, 2, 4, 6>(r[0][j], r[1][j]));
        if (kE + j < channels) put(kE + j, blocks<1, 3, 5, 7>(r[0][j], r[1][j]));
      }
      first += channels;
    } else {
      const int channels = static_cast<int>(c - first);
      Vec<T> r[kE];
#pragma GCC unroll 4
      for (int i = 0; i < kE; ++i) {
        r[i] = join(load_quarter(at(i), channels), load_quarter(at(kE + i), channels),
                    load_quarter(at(2 * kE + i), channels), load_quarter(at(3 * kE + i), channels));
      }
      transpose_squares(r);
#pragma GCC unroll 4
      for (int j = 0; j < kE; ++j) {
        if (j < channels) put(j, r[j]);
      }
      first = c;
    }
  }
}

/// Transposes c planes of one vector to c channels of pixels, or adds them.
template <bool Whole, bool Accumulate, typename T, int H>
MSD_INLINE void planes_to_pixels(const T* from, std::int64_t plane, int c,
                                 const PixelRuns<T, H>& runs) {
  constexpr int kE = kBlock<T>, kRun = kLanes<T> / H;
  for (int first = 0; first < c;) {
    if (c - first > kE) {
      const int channels = c - first < 2 * kE ? c - first : 2 * kE;
      Vec<T> low[kE], high[kE];
#pragma GCC unroll 4
      for (int j = 0; j < kE; ++j) {
        low[j] = load(from + (first + j) * plane);
        high[j] = load(from + (first + (kE + j < channels ? kE + j : 0)) * plane);
      }
      transpose_squares(low);
      transpose_squares(high);
      const auto put = [&](int i, auto value) __attribute__((always_inline)) {
        if (!Whole && i % kRun >= runs.count[i / kRun]) return;
        T* to = runs.at[i / kRun] + (i % kRun) * runs.pixel + first;
        if constexpr (Accumulate) value += load_half(to, channels);
        store_half(to, value, channels);
      };
#pragma GCC unroll 4
      for (int i = 0; i < kE; ++i) {
        const Vec<T> left = blocks<0, 4, 1, 5>(low[i], high[i]);
        const Vec<T> right = blocks<2, 6, 3, 7>(low[i], high[i]);
        put(i, half<0>(left));
        put(kE + i, half<1>(left));
        put(2 * kE + i, half<0>(right));
        put(3 * kE + i, half<1>(right));
      }
      first += channels;
    } else {
      const int channels = c - first;
      Vec<T> r[kE];
#pragma GCC unroll 4
      for (int j = 0; j < kE; ++j) r[j] = load(from + (first + (j < channels ? j : 0)) * plane);
      transpose_squares(r);
      const auto put = [&](int i, auto value) __attribute__((always_inline)) {
        if (!Whole && i % kRun >= runs.count[i / kRun]) return;
        T* to = runs.at[i / kRun] + (i % kRun) * runs.pixel + first;
        if constexpr (Accumulate) value += load_quarter(to, channels);
        store_quarter(to, value, channels);
      };
#pragma GCC unroll 4
      for (int i = 0; i < kE; ++i) {
        put(i, quarter<0>(r[i]));
        put(kE + i, quarter<1>(r[i]));
        put(2 * kE + i, quarter<2>(r[i]));
        put(3 * kE + i, quarter<3>(r[i]));
      }
      first = c;
    }
  }
}

}  // namespace msd::cpu::MSD_ISA

#endif
