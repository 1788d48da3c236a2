// SPDX-License-Identifier: MIT
// The inner loop of the convolutions: P pixels by V vectors of output channels in registers.
//   dst[p][0, V*lanes) (+)= bias + sum over s < segments, k < length of
//                           src[p][s*stride + k] * weights[s*length + k][V*lanes]
// A pixel's sum runs in the order of (s, k) whatever P and V are, so its bits depend on neither.
#pragma once

#include <utility>

#include "kernels/cpu/simd.h"

namespace msd::cpu::MSD_ISA {

inline constexpr int kMaxTileVectors = kVectorRegisters >= 32 ? 4 : 3;
inline constexpr int kMaxTilePixels = 12;

/// Pixels of the largest tile of v vectors: accumulators, weights and a broadcast in registers.
constexpr int tile_pixels(int v) {
  if (kVectorRegisters >= 32) return v == 1 ? 12 : 24 / v;
  return 12 / v;
}

template <typename T>
struct TileArgs {
  const T* weights;  // [segments*length][V*lanes]
  const T* bias;     // of the block's first channel, or null
  std::int64_t segments, length, stride;
  int tail;  // channels of the last vector that exist, 1 to lanes
  bool accumulate, relu;
};

template <typename T>
using Tile = void (*)(const TileArgs<T>& args, const T* const* src, T* const* dst);

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

template <typename T, int P, int V, std::size_t... I, std::size_t... J>
MSD_INLINE void tile_body(const TileArgs<T>& args, const T* const* src, T* const* dst,
                          std::index_sequence<I...>, std::index_sequence<J...>) {
  constexpr int kLane = kLanes<T>;
  const TileArgs<T> a = args;
  const T* x[P];
  for (int p = 0; p < P; ++p) x[p] = src[p];
  Vec<T> first[V] = {};
  if (a.bias != nullptr) {
    for (int v = 0; v + 1 < V; ++v) first[v] = load(a.bias + v * kLane);
    first[V - 1] = load_partial(a.bias + (V - 1) * kLane, a.tail);
  }
  Vec<T> acc[P * V] = {first[I % V]...};
  const T* weights = a.weights;
  const auto step = [&](std::int64_t k) __attribute__((always_inline)) {
    Vec<T> w[V] = {load(weights + J * kLane)...};
    if constexpr (V > 1 || P > 1) (pin(w[J]), ...);
    if constexpr (V == 1) {
      ((acc[I] += broadcast(x[I][k]) * w[0]), ...);
    } else {
      Vec<T> b{};
      ((I % V == 0 ? void(b = broadcast(x[I / V][k])) : void(), acc[I] += b * w[I % V]), ...);
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
  const auto finish = [&](Vec<T> & sum, T * to, bool last) __attribute__((always_inline)) {
    if (a.accumulate) sum += last ? load_partial(to, a.tail) : load(to);
    if (a.relu) sum = relu<T>(sum);
    if (last && a.tail < kLane) {
      store_partial(to, sum, a.tail);
    } else {
      store(to, sum);
    }
  };
  (finish(acc[I], dst[I / V] + (I % V) * kLane, I % V == V - 1), ...);
}

template <typename T, int P, int V>
void tile(const TileArgs<T>& args, const T* const* src, T* const* dst) {
  tile_body<T, P, V>(args, src, dst, std::make_index_sequence<P * V>(),
                     std::make_index_sequence<V>());
}

template <typename T, int V, std::size_t... P>
constexpr Tile<T> tile_of(int pixels, std::index_sequence<P...>) {
  constexpr Tile<T> kTiles[] = {&tile<T, static_cast<int>(P) + 1, V>...};
  return kTiles[pixels - 1];
}

/// The tile of `pixels` (1 to tile_pixels(vectors)) by `vectors` (1 to kMaxTileVectors).
template <typename T>
Tile<T> find_tile(int pixels, int vectors) {
  switch (vectors) {
    case 1:
      return tile_of<T, 1>(pixels, std::make_index_sequence<tile_pixels(1)>());
    case 2:
      return tile_of<T, 2>(pixels, std::make_index_sequence<tile_pixels(2)>());
    case 3:
      return tile_of<T, 3>(pixels, std::make_index_sequence<tile_pixels(3)>());
    default:
      return tile_of<T, kMaxTileVectors>(pixels,
                                         std::make_index_sequence<tile_pixels(kMaxTileVectors)>());
  }
}

/// Output channels are cut into blocks of at most kMaxTileVectors vectors, as even as can be.
struct ChannelBlocks {
  std::int64_t vectors, blocks;
  int lanes;

  template <typename T>
  static ChannelBlocks of(std::int64_t channels) {
    const std::int64_t vectors = ceil_div(channels, kLanes<T>);
    return {vectors, ceil_div(vectors, kMaxTileVectors), kLanes<T>};
  }
  std::int64_t first_vector(std::int64_t block) const {
    const std::int64_t large = vectors % blocks;
    return block * (vectors / blocks) + (block < large ? block : large);
  }
  int block_vectors(std::int64_t block) const {
    return static_cast<int>(first_vector(block + 1) - first_vector(block));
  }
};

}  // namespace msd::cpu::MSD_ISA
