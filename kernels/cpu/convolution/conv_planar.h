// SPDX-License-Identifier: MIT
// Convolutions with few output channels (6 and 12 in the finest scale): vectors of pixels instead
// of channels, so that all lanes work. The source is copied channel by channel (planes), the
// weights are those of conv_tile.h, each value broadcast, and a pixel's sum runs in the same order:
// both give the same bits.
#pragma once

#include <utility>

#include "kernels/cpu/convolution/conv_source.h"
#include "kernels/cpu/convolution/conv_tile.h"
#include "kernels/cpu/convolution/conv_transpose.h"

namespace msd::cpu::MSD_ISA {

// Narrower vectors lose less in conv_tile.h (6 of 8 lanes work) than the transposition costs.
#if defined(__AVX512F__)
inline constexpr bool kHavePlanar = true;
#else
inline constexpr bool kHavePlanar = false;
#endif

inline constexpr int kMaxPlanarChannels = 12;

/// Vectors of pixels of the tile for c channels.
constexpr int planar_vectors(int c) { return 24 / c < 4 ? 24 / c : 4; }

#if defined(__AVX512F__)

MSD_INLINE Vec<float> load_halves(const float* a, const float* b) {
  return join(_mm256_loadu_ps(a), _mm256_loadu_ps(b));
}
MSD_INLINE Vec<double> load_halves(const double* a, const double* b) {
  return join(_mm256_loadu_pd(a), _mm256_loadu_pd(b));
}

inline constexpr std::int64_t kPrefetchPixels = 32;

/// Transposes `pixels` pixels of c channels to planes.
template <typename T>
void copy_to_planes(const T* from, std::int64_t pixel, std::int64_t pixels, std::int64_t c, T* to,
                    std::int64_t plane, bool streams) {
  constexpr int kL = kLanes<T>;
  const std::int64_t prefetch = streams ? kPrefetchPixels * pixel : 0;
  for (; pixels >= kL; pixels -= kL, from += kL * pixel, to += kL) {
    pixels_to_planes<true, T, 1>({{from}, {kL}, pixel, prefetch}, c, {to}, plane);
  }
  if (pixels > 0) {
    pixels_to_planes<false, T, 1>({{from}, {static_cast<int>(pixels)}, pixel}, c, {to}, plane);
  }
}

template <typename T>
struct PlanarArgs {
  const T* weights;  // [taps_h][taps_w][channels in][pitch]
  std::int64_t pitch;
  const T* bias;  // [channels out] or null
  std::int64_t taps_h, taps_w, channels_in;
  std::int64_t plane, row;     // strides of the source: channel, kernel row
  std::int64_t phases, phase;  // column t of a kernel row: (t % phases)*phase + t/phases
  bool relu;
};

/// Sums of planar_vectors(C) vectors of pixels for C channels to `sums`, [C][vectors][lanes]. A
/// vector's pixels are H runs of lanes/H, which start at `base`.
template <typename T>
using PlanarTile = void (*)(const PlanarArgs<T>& args, const T* const* base, T* sums);

template <typename T, int C, int V, int H, std::size_t... I, std::size_t... J>
MSD_INLINE void planar_tile_body(const PlanarArgs<T>& args, const T* const* base, T* sums,
                                 std::index_sequence<I...>, std::index_sequence<J...>) {
  constexpr int kLane = kLanes<T>;
  const PlanarArgs<T> a = args;
  Vec<T> acc[C * V] = {};
  if (a.bias != nullptr) ((acc[I] = broadcast(a.bias[I / V])), ...);
  const T* start[V * H];
  for (int i = 0; i < V * H; ++i) start[i] = base[i];
  const T* weights = a.weights;
  for (std::int64_t y = 0; y < a.taps_h; ++y) {
    std::int64_t phase = 0, tap = y * a.row;
    for (std::int64_t x = 0; x < a.taps_w; ++x) {
      std::int64_t offset = tap + phase * a.phase;
      if (++phase == a.phases) {
        phase = 0;
        ++tap;
      }
      for (std::int64_t k = 0; k < a.channels_in; ++k) {
        Vec<T> v[V];
        if constexpr (H == 1) {
          ((v[J] = load(start[J] + offset)), ...);
        } else {
          ((v[J] = load_halves(start[2 * J] + offset, start[2 * J + 1] + offset)), ...);
        }
        (pin(v[J]), ...);
        Vec<T> w{};
        ((I % V == 0 ? void(w = broadcast(weights[I / V])) : void(),
          add_product(acc[I], w, v[I % V])),
         ...);
        offset += a.plane;
        weights += a.pitch;
      }
    }
  }
  if (a.relu) ((acc[I] = relu<T>(acc[I])), ...);
  (store(sums + static_cast<std::int64_t>(I) * kLane, acc[I]), ...);
}

template <typename T, int C, int H>
void planar_tile(const PlanarArgs<T>& args, const T* const* base, T* sums) {
  constexpr int kV = planar_vectors(C);
  planar_tile_body<T, C, kV, H>(args, base, sums, std::make_index_sequence<C * kV>(),
                                std::make_index_sequence<kV>());
}

template <typename T, int H, std::size_t... C>
PlanarTile<T> find_planar_tile(int channels, std::index_sequence<C...>) {
  static constexpr PlanarTile<T> kTiles[] = {&planar_tile<T, static_cast<int>(C) + 1, H>...};
  return kTiles[channels - 1];
}

/// Runs of pixels of a destination row, `length` elements each at most, in the order of images,
/// rows and columns.
template <typename T>
struct PlanarTarget {
  T* dst;
  std::int64_t dst_pixel, dst_row, dst_image;  // strides
  const T* src;
  std::int64_t src_row, src_image;  // src: one element a pixel
  std::int64_t images, rows, columns;
};

template <typename T, int H, bool Accumulate, typename Fetch>
void run_planar(const PlanarTarget<T>& t, const PlanarArgs<T>& args, int channels,
                const Fetch& fetch) {
  constexpr int kLane = kLanes<T>, kRun = kLane / H;
  const int vectors = planar_vectors(channels), runs = vectors * H;
  const PlanarTile<T> tile =
      find_planar_tile<T, H>(channels, std::make_index_sequence<kMaxPlanarChannels>());
  alignas(64) T sums[24 * kLane];
  const T* base[4 * H];
  PixelRuns<T, H> target[4];
  for (PixelRuns<T, H>& pixels : target) pixels.pixel = t.dst_pixel;
  std::int64_t image = 0, row = 0, column = 0;
  while (image < t.images) {
    int filled = 0;
    for (; filled < runs && image < t.images; ++filled) {
      base[filled] = t.src + image * t.src_image + row * t.src_row + column;
      PixelRuns<T, H>& pixels = target[filled / H];
      pixels.at[filled % H] = t.dst + image * t.dst_image + row * t.dst_row + column * t.dst_pixel;
      const std::int64_t left = t.columns - column;
      pixels.count[filled % H] = left < kRun ? static_cast<int>(left) : kRun;
      column += kRun;
      if (column >= t.columns) {
        column = 0;
        if (++row == t.rows) {
          row = 0;
          ++image;
        }
      }
    }
    for (int i = filled; i < runs; ++i) {
      base[i] = base[0];
      target[i / H].at[i % H] = t.dst;
      target[i / H].count[i % H] = 0;
    }
    fetch(target[0].at[0], runs * kRun);
    tile(args, base, sums);
    for (int v = 0; v * H < filled; ++v) {
      const T* from = sums + v * kLane;
      if (target[v].whole()) {
        planes_to_pixels<true, Accumulate>(from, vectors * kLane, channels, target[v]);
      } else {
        planes_to_pixels<false, Accumulate>(from, vectors * kLane, channels, target[v]);
      }
    }
  }
}

/// In halves where that leaves fewer lanes idle. fetch(first pixel, pixels) is called before each
/// tile.
template <typename T, typename Fetch>
void run_planar(const PlanarTarget<T>& t, const PlanarArgs<T>& args, int channels, bool accumulate,
                const Fetch& fetch) {
  constexpr std::int64_t kLane = kLanes<T>;
  if (round_up(t.columns, kLane / 2) < round_up(t.columns, kLane)) {
    accumulate ? run_planar<T, 2, true>(t, args, channels, fetch)
               : run_planar<T, 2, false>(t, args, channels, fetch);
  } else {
    accumulate ? run_planar<T, 1, true>(t, args, channels, fetch)
               : run_planar<T, 1, false>(t, args, channels, fetch);
  }
}

/// A window's planes: [image][channel][row][phase][column/phases].
struct Planes {
  std::int64_t phase, row, plane, image;  // strides
  static Planes of(const Window& window, std::int64_t channels, std::int64_t phases) {
    const std::int64_t phase = ceil_div(window.columns, phases), row = phases * phase;
    return {phase, row, window.rows * row, channels * window.rows * row};
  }
};

/// Writes zeros to columns [0, count) of c planes.
template <typename T>
MSD_INLINE void zero_columns(T* p, std::int64_t count, std::int64_t c, std::int64_t plane) {
  if (count == 1) {
    for (; c > 0; --c, p += plane) *p = T{};
    return;
  }
  for (; count > 0; count -= kLanes<T>, p += kLanes<T>) {
    const int part = static_cast<int>(count < kLanes<T> ? count : kLanes<T>);
    for (std::int64_t i = 0; i < c; ++i) store_partial(p + i * plane, Vec<T>{}, part);
  }
}

/// Copies `window` of x to planes at `to`, 0 outside of x; H runs of pixels at once.
template <int H, typename T>
void copy_planes(T* to, const ConstView& x, const Window& window, std::int64_t phases) {
  constexpr int kRun = kLanes<T> / H;
  const Planes planes = Planes::of(window, x.c, phases);
  PixelRuns<const T, H> runs;
  runs.pixel = phases * x.pitch;
  T* target[H];
  int filled = 0;
  const auto flush = [&] {
    for (int i = filled; i < H; ++i) {
      runs.at[i] = runs.at[0];
      target[i] = target[0];
      runs.count[i] = 0;
    }
    if (runs.whole()) {
      pixels_to_planes<true>(runs, x.c, target, planes.plane);
    } else {
      pixels_to_planes<false>(runs, x.c, target, planes.plane);
    }
    filled = 0;
  };
  for (std::int64_t image = 0; image < window.images; ++image) {
    for (std::int64_t r = 0; r < window.rows; ++r) {
      T* row = to + image * planes.image + r * planes.row;
      const std::int64_t y = window.row + r;
      if (y < 0 || y >= x.h) {
        zero_columns(row, planes.row, x.c, planes.plane);
        continue;
      }
      const T* from = x.as<T>() + (((window.image + image) * x.h + y) * x.w) * x.pitch;
      for (std::int64_t phase = 0; phase < phases; ++phase, row += planes.phase) {
        // column q of the phase is x's column origin + q*phases
        const std::int64_t origin = window.column + phase;
        const std::int64_t begin = origin < 0 ? ceil_div(-origin, phases) : 0;
        std::int64_t end = origin < x.w ? ceil_div(x.w - origin, phases) : 0;
        if (end > planes.phase) end = planes.phase;
        if (begin >= end) {
          zero_columns(row, planes.phase, x.c, planes.plane);
          continue;
        }
        zero_columns(row, begin, x.c, planes.plane);
        zero_columns(row + end, planes.phase - end, x.c, planes.plane);
        for (std::int64_t q = begin; q < end; q += kRun) {
          runs.at[filled] = from + (origin + q * phases) * x.pitch;
          runs.count[filled] = static_cast<int>(end - q < kRun ? end - q : kRun);
          target[filled] = row + q;
          if (++filled == H) flush();
        }
      }
    }
  }
  if (filled > 0) flush();
}

template <typename T>
void copy_planes(T* to, const ConstView& x, const Window& window, std::int64_t phases) {
  constexpr std::int64_t kLane = kLanes<T>;
  const std::int64_t width = ceil_div(x.w, phases);
  if (round_up(width, kLane / 2) < round_up(width, kLane)) {
    copy_planes<2>(to, x, window, phases);
  } else {
    copy_planes<1>(to, x, window, phases);
  }
}

#endif

}  // namespace msd::cpu::MSD_ISA
