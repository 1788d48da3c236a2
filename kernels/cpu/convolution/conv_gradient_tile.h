// SPDX-License-Identifier: MIT
// The inner loop of the weight gradient: sum over pixels of an outer product of M values, each
// broadcast, with V vectors.
#pragma once

#include <utility>

#include "kernels/cpu/convolution/conv_source.h"
#include "kernels/cpu/convolution/conv_tile.h"

namespace msd::cpu::MSD_ISA {

/// sums[m*pitch + i] (+)= sum over pixels of scalars[pixel][m] * vectors[pixel][i], i < V*lanes.
/// The pixels are images x rows x columns; strides in elements.
template <typename T>
struct GradientTileArgs {
  T* sums;
  std::int64_t pitch;
  const T* scalars;
  const T* vectors;
  std::int64_t images, rows, columns;
  std::int64_t scalar_pixel, scalar_row, scalar_image;
  std::int64_t vector_pixel, vector_row, vector_image;
  int tail;           // lanes of the last vector that may be read
  bool add;           // to sums, otherwise overwrite them
  FetchAhead* ahead;  // two; a step of each for every kFetchPixels pixels
};

inline constexpr std::int64_t kFetchPixels = 16;

template <typename T>
using GradientTile = void (*)(const GradientTileArgs<T>& args);

template <typename T, int M, int V, bool Partial, std::size_t... I, std::size_t... J>
MSD_INLINE void gradient_tile_body(const GradientTileArgs<T>& args, std::index_sequence<I...>,
                                   std::index_sequence<J...>) {
  constexpr int kLane = kLanes<T>;
  const GradientTileArgs<T> a = args;
  Vec<T> acc[M * V] = {};
  for (std::int64_t image = 0; image < a.images; ++image) {
    for (std::int64_t row = 0; row < a.rows; ++row) {
      const T* s = a.scalars + image * a.scalar_image + row * a.scalar_row;
      const T* x = a.vectors + image * a.vector_image + row * a.vector_row;
      for (std::int64_t column = 0; column < a.columns; ++column) {
        if (column % kFetchPixels == 0) {
          a.ahead[0].advance();
          a.ahead[1].advance();
        }
        Vec<T> v[V] = {
            (Partial && J == V - 1 ? load_partial(x + J * kLane, a.tail) : load(x + J * kLane))...};
        (pin(v[J]), ...);
        if constexpr (V == 1) {
          (add_product(acc[I], broadcast(s[I]), v[0]), ...);
        } else {
          Vec<T> b{};
          ((I % V == 0 ? void(b = broadcast(s[I / V])) : void(), add_product(acc[I], b, v[I % V])),
           ...);
        }
        s += a.scalar_pixel;
        x += a.vector_pixel;
      }
    }
  }
  const auto finish = [&](T * to, Vec<T> sum) __attribute__((always_inline)) {
    store(to, a.add ? load(to) + sum : sum);
  };
  (finish(a.sums + static_cast<std::int64_t>(I / V) * a.pitch + (I % V) * kLane, acc[I]), ...);
}

template <typename T, int M, int V, bool Partial>
void gradient_tile(const GradientTileArgs<T>& args) {
  gradient_tile_body<T, M, V, Partial>(args, std::make_index_sequence<M * V>(),
                                       std::make_index_sequence<V>());
}

template <typename T, int V, bool Partial, std::size_t... M>
GradientTile<T> gradient_tile_of(int scalars, std::index_sequence<M...>) {
  static constexpr GradientTile<T> kTiles[] = {
      &gradient_tile<T, static_cast<int>(M) + 1, V, Partial>...};
  return kTiles[scalars - 1];
}

template <typename T, bool Partial>
GradientTile<T> find_gradient_tile(int scalars, int vectors) {
  switch (vectors) {
    case 1:
      return gradient_tile_of<T, 1, Partial>(scalars, std::make_index_sequence<tile_pixels(1)>());
    case 2:
      return gradient_tile_of<T, 2, Partial>(scalars, std::make_index_sequence<tile_pixels(2)>());
    case 3:
      return gradient_tile_of<T, 3, Partial>(scalars, std::make_index_sequence<tile_pixels(3)>());
    default:
      return gradient_tile_of<T, kMaxTileVectors, Partial>(
          scalars, std::make_index_sequence<tile_pixels(kMaxTileVectors)>());
  }
}

}  // namespace msd::cpu::MSD_ISA
