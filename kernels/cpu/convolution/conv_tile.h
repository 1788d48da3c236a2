// SPDX-License-Identifier: MIT
// The inner loop of the convolutions: P pixels by a block of output channels in registers.
//   dst[p][channel] (+)= bias + sum over s < segments, k < length of
//                        src[p][s*stride + k] * weights[s*length + k][channel]
// A pixel's sum runs in the order of (s, k) whatever the tile, so its bits depend on neither the
// tile nor the pixel's place.
//
// A block has up to kMaxTileVectors vectors of channels. Where the last one is at most half full
// (24 channels in vectors of 16) the block is paired: the last vector's weights are there twice and
// it works for two pixels, one in each half, so that no lane idles.
#pragma once

#include <utility>

#include "kernels/cpu/device/simd.h"

namespace msd::cpu::MSD_ISA {

inline constexpr int kMaxTileVectors = kVectorRegisters >= 32 ? 4 : 3;
inline constexpr int kMaxTilePixels = 12;

/// Pixels of the largest tile of v vectors: accumulators, weights and a broadcast in registers.
constexpr int tile_pixels(int v) {
  if (kVectorRegisters >= 32) return v == 1 ? 12 : 24 / v;
  return 12 / v;
}

#if defined(__AVX512F__) || defined(__AVX2__)
inline constexpr bool kHavePairs = true;
#else
inline constexpr bool kHavePairs = false;
#endif

/// The lower half of a, the upper half of b.
MSD_INLINE Vec<float> join_halves(Vec<float> a, Vec<float> b) {
#if defined(__AVX512F__)
  return _mm512_mask_blend_ps(0xFF00, a, b);
#elif defined(__AVX2__)
  return _mm256_blend_ps(a, b, 0xF0);
#else
  return __builtin_shufflevector(a, b, 0, 1, 6, 7);
#endif
}
MSD_INLINE Vec<double> join_halves(Vec<double> a, Vec<double> b) {
#if defined(__AVX512F__)
  return _mm512_mask_blend_pd(0xF0, a, b);
#elif defined(__AVX2__)
  return _mm256_blend_pd(a, b, 0xC);
#else
  return __builtin_shufflevector(a, b, 0, 3);
#endif
}
template <typename T>
MSD_INLINE Vec<T> swap_halves(Vec<T> v) {
  if constexpr (kLanes<T> == 16) {
    return __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
  } else if constexpr (kLanes<T> == 8) {
    return __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3);
  } else if constexpr (kLanes<T> == 4) {
    return __builtin_shufflevector(v, v, 2, 3, 0, 1);
  } else {
    return __builtin_shufflevector(v, v, 1, 0);
  }
}

/// Keeps GCC from folding a load that several instructions share into each of them.
template <typename V>
MSD_INLINE void pin(V& v) {
#if defined(__AVX512F__)
  asm("" : "+v"(v));
#elif defined(__x86_64__)
  asm("" : "+x"(v));
#else
  (void)v;
#endif
}

template <typename T>
struct TileArgs {
  const T* weights;  // [segments*length][vectors*lanes]
  const T* bias;     // of the block's first channel, or null
  std::int64_t segments, length, stride;
  int tail;  // channels of the last vector that exist, 1 to lanes
  bool accumulate, relu;
};

template <typename T>
using Tile = void (*)(const TileArgs<T>& args, const T* const* src, T* const* dst);

// kWhole vectors of channels for each pixel, then one for each pixel or (Paired) pair of pixels.
template <typename T, int P, int V, bool Paired, std::size_t... I, std::size_t... Q,
          std::size_t... J>
MSD_INLINE void tile_body(const TileArgs<T>& args, const T* const* src, T* const* dst,
                          std::index_sequence<I...>, std::index_sequence<Q...>,
                          std::index_sequence<J...>) {
  constexpr int kLane = kLanes<T>, kWhole = Paired ? V - 1 : V;
  const TileArgs<T> a = args;
  const T* x[P];
  for (int p = 0; p < P; ++p) x[p] = src[p];
  Vec<T> first[V] = {};
  if (a.bias != nullptr) {
    for (int v = 0; v + 1 < V; ++v) first[v] = load(a.bias + v * kLane);
    first[V - 1] = load_head(a.bias + (V - 1) * kLane, a.tail);
    if (Paired) first[V - 1] = join_halves(first[V - 1], swap_halves<T>(first[V - 1]));
  }
  Vec<T> acc[P * kWhole] = {first[I % kWhole]...};
  [[maybe_unused]] Vec<T> shared[(P + 1) / 2];
  if constexpr (Paired) ((shared[Q] = first[V - 1]), ...);
  const T* weights = a.weights;
  const auto step = [&](std::int64_t k) __attribute__((always_inline)) {
    Vec<T> w[V] = {load(weights + J * kLane)...};
    (pin(w[J]), ...);
    if constexpr (Paired) {
      const auto pair = [&](auto q) __attribute__((always_inline)) {
        constexpr int kP0 = 2 * decltype(q)::value, kP1 = kP0 + 1 < P ? kP0 + 1 : kP0;
        const Vec<T> b0 = broadcast(x[kP0][k]);
        for (int v = 0; v < kWhole; ++v) add_product(acc[kP0 * kWhole + v], b0, w[v]);
        if constexpr (kP1 == kP0) {
          add_product(shared[q], b0, w[V - 1]);
        } else {
          const Vec<T> b1 = broadcast(x[kP1][k]);
          for (int v = 0; v < kWhole; ++v) add_product(acc[kP1 * kWhole + v], b1, w[v]);
          add_product(shared[q], join_halves(b0, b1), w[V - 1]);
        }
      };
      (pair(std::integral_constant<int, static_cast<int>(Q)>()), ...);
    } else if constexpr (V == 1) {
      (add_product(acc[I], broadcast(x[I][k]), w[0]), ...);
    } else {
      Vec<T> b{};
      ((I % V == 0 ? void(b = broadcast(x[I / V][k])) : void(), add_product(acc[I], b, w[I % V])),
       ...);
    }
    weights += V * kLane;
  };
  for (std::int64_t s = 0; s < a.segments; ++s) {
    std::int64_t k = s * a.stride;
    const std::int64_t end = k + a.length;
    for (; k + 4 <= end; k += 4) {
      step(k);
      step(k + 1);
      step(k + 2);
      step(k + 3);
    }
    for (; k < end; ++k) step(k);
  }
  const auto finish = [&](Vec<T> sum, T * to, bool last) __attribute__((always_inline)) {
    if (a.accumulate) sum += last ? load_head(to, a.tail) : load(to);
    if (a.relu) sum = relu<T>(sum);
    last ? store_head(to, sum, a.tail) : store(to, sum);
  };
  (finish(acc[I], dst[I / kWhole] + (I % kWhole) * kLane, !Paired && I % kWhole == V - 1), ...);
  if constexpr (Paired) {
    (finish(shared[Q], dst[2 * Q] + kWhole * kLane, true), ...);
    ((2 * Q + 1 < P ? finish(swap_halves<T>(shared[Q]), dst[2 * Q + 1] + kWhole * kLane, true)
                    : void()),
     ...);
  }
}

template <typename T, int P, int V, bool Paired>
void tile(const TileArgs<T>& args, const T* const* src, T* const* dst) {
  tile_body<T, P, V, Paired>(args, src, dst, std::make_index_sequence<P*(Paired ? V - 1 : V)>(),
                             std::make_index_sequence<(P + 1) / 2>(),
                             std::make_index_sequence<V>());
}

template <typename T, int V, bool Paired, std::size_t... P>
Tile<T> tile_of(int pixels, std::index_sequence<P...>) {
  static constexpr Tile<T> kTiles[] = {&tile<T, static_cast<int>(P) + 1, V, Paired>...};
  return kTiles[pixels - 1];
}

template <typename T, int V>
Tile<T> tile_of(int pixels, bool paired) {
  constexpr std::make_index_sequence<tile_pixels(V)> kPixels;
  if constexpr (V > 1 && kHavePairs) {
    if (paired) return tile_of<T, V, true>(pixels, kPixels);
  }
  return tile_of<T, V, false>(pixels, kPixels);
}

/// The tile of `pixels` (1 to tile_pixels(vectors)) by `vectors` (1 to kMaxTileVectors).
template <typename T>
Tile<T> find_tile(int pixels, int vectors, bool paired) {
  switch (vectors) {
    case 1:
      return tile_of<T, 1>(pixels, paired);
    case 2:
      return tile_of<T, 2>(pixels, paired);
    case 3:
      return tile_of<T, 3>(pixels, paired);
    default:
      return tile_of<T, kMaxTileVectors>(pixels, paired);
  }
}

/// Output channels are cut into blocks of at most kMaxTileVectors vectors, as even as can be.
struct ChannelBlocks {
  std::int64_t channels, vectors, blocks;
  int lanes;

  template <typename T>
  static ChannelBlocks of(std::int64_t channels) {
    const std::int64_t vectors = ceil_div(channels, kLanes<T>);
    return {channels, vectors, ceil_div(vectors, kMaxTileVectors), kLanes<T>};
  }
  std::int64_t first_vector(std::int64_t block) const {
    const std::int64_t large = vectors % blocks;
    return block * (vectors / blocks) + (block < large ? block : large);
  }
  std::int64_t first_channel(std::int64_t block) const { return first_vector(block) * lanes; }
  int block_vectors(std::int64_t block) const {
    return static_cast<int>(first_vector(block + 1) - first_vector(block));
  }
  /// Channels of the block's last vector.
  int tail(std::int64_t block) const {
    const std::int64_t left = channels - (first_vector(block + 1) - 1) * lanes;
    return left < lanes ? static_cast<int>(left) : lanes;
  }
  bool paired(std::int64_t block) const {
    return kHavePairs && block_vectors(block) > 1 && 2 * tail(block) <= lanes;
  }
};

}  // namespace msd::cpu::MSD_ISA
