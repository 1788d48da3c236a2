// SPDX-License-Identifier: MIT
// A unit of work with vectors of channels: copies the source (but of 1x1), walks the destination's
// pixels in tiles.
#pragma once

#include "kernels/cpu/convolution/conv_cut.h"

namespace msd::cpu::MSD_ISA {

inline constexpr std::int64_t kGroupBytes = 48 << 10;
inline constexpr std::int64_t kPrefetchCycles = 1500;

/// Walks the pixels of a class in a unit, row by row and image by image.
template <typename T>
struct Walk {
  const T* src;
  T* dst;
  std::int64_t rows, columns;
  std::int64_t src_pixel, src_row, src_image;  // strides; row and image from the end of the last
  std::int64_t dst_pixel, dst_row, dst_image;
  std::int64_t row = 0, column = 0;

  MSD_INLINE void take(int count, const T** from, T** to) {
    for (int p = 0; p < count; ++p) {
      from[p] = src;
      to[p] = dst;
      src += src_pixel;
      dst += dst_pixel;
      if (++column == columns) {
        column = 0;
        src += src_row;
        dst += dst_row;
        if (++row == rows) {
          row = 0;
          src += src_image;
          dst += dst_image;
        }
      }
    }
  }
};

template <typename T>
void zero_pixels(Walk<T> walk, std::int64_t pixels, std::int64_t channels) {
  for (std::int64_t i = 0; i < pixels; ++i) {
    const T* from;
    T* to;
    walk.take(1, &from, &to);
    std::int64_t c = 0;
    for (; c + kLanes<T> <= channels; c += kLanes<T>) store(to + c, Vec<T>{});
    if (c < channels) store_partial(to + c, Vec<T>{}, static_cast<int>(channels - c));
  }
}

/// What to fetch early: of a pixel's rows, so many elements, some pixels ahead of their use.
struct Prefetch {
  std::int64_t src_elems, dst_elems;
};

template <typename T>
MSD_INLINE void prefetch_row(const T* p, std::int64_t elems) {
  constexpr std::int64_t kLine = 64 / static_cast<std::int64_t>(sizeof(T));
  for (std::int64_t i = 0; i < elems; i += kLine) __builtin_prefetch(p + i);
}

/// One block of channels of `pixels` pixels, in tiles of sizes as even as can be.
template <typename T>
void run_block(Walk<T> walk, std::int64_t pixels, const TileArgs<T>& args, int vectors, bool paired,
               const Prefetch& prefetch, FetchAhead& ahead) {
  const std::int64_t tiles = ceil_div(pixels, tile_pixels(vectors));
  const std::int64_t large = pixels % tiles;
  const int small_size = static_cast<int>(pixels / tiles);
  const bool fetch = prefetch.src_elems + prefetch.dst_elems > 0;
  const std::int64_t tile_cycles = args.segments * args.length * small_size * vectors / 2;
  const std::int64_t distance = small_size * (1 + kPrefetchCycles / larger(tile_cycles, 1));
  const T* src[kMaxTilePixels];
  T* dst[kMaxTilePixels];
  for (std::int64_t i = 0; i < tiles;) {
    const int size = i < large ? small_size + 1 : small_size;
    const Tile<T> tile = find_tile<T>(size, vectors, paired);
    for (const std::int64_t last = i < large ? large : tiles; i < last; ++i) {
      walk.take(size, src, dst);
      ahead.advance();
      if (fetch) {
        for (int p = 0; p < size; ++p) {
          prefetch_row(src[p] + distance * walk.src_pixel, prefetch.src_elems);
          prefetch_row(dst[p] + distance * walk.dst_pixel, prefetch.dst_elems);
        }
      }
      tile(args, src, dst);
    }
  }
}

/// `next`: the unit that this worker will probably run next, or null.
template <typename T>
void run_row_unit(const ConvolutionCut& cut, const Unit& unit, const Unit* next, T* scratch) {
  const ChannelBlocks blocks = ChannelBlocks::of<T>(cut.dst.c);
  const std::int64_t step = cut.pass.step(), dst_step = cut.pass.dst_step();
  Source<T> source;
  std::int64_t src_row = 0, src_column = 0;  // what source.data is
  FetchAhead ahead;
  if (cut.direct) {
    const std::int64_t pitch = cut.src.pitch, w = cut.src.w, h = cut.src.h;
    source = {cut.src.as<T>() + unit.image * h * w * pitch, h * w * pitch, w * pitch, pitch};
  } else {
    const Window window = window_of(cut, unit);
    src_row = window.row;
    src_column = window.column;
    source = copy_window(scratch, cut.src, window);
    if (cut.streams && next != nullptr) {
      const std::int64_t pixels = unit.images * unit.rows * cut.dst.w * dst_step;
      ahead = fetch_ahead<T>(
          cut, *next,
          (unit.last_block - unit.first_block) * pixels / tile_pixels(blocks.block_vectors(0)));
    }
  }

  const std::int64_t k_lanes = cut.src.c * blocks.vectors * blocks.lanes;
  const std::int64_t dst_row = cut.dst.w * cut.dst.pitch, dst_image = cut.dst.h * dst_row;
  for (std::int64_t ry = 0; ry < dst_step; ++ry) {
    const AxisClass y = cut.pass.axis(ry, cut.dst.h);
    const std::int64_t rows = smaller(unit.rows, y.count - unit.row);
    if (rows <= 0) continue;
    for (std::int64_t rx = 0; rx < dst_step; ++rx) {
      const AxisClass x = cut.pass.axis(rx, cut.dst.w);
      if (x.count == 0) continue;
      Walk<T> walk;
      walk.src = source.data + (unit.row * step + y.origin - src_row) * source.row_stride +
                 (x.origin - src_column) * source.pixel_stride;
      walk.dst = cut.dst.as<T>() + unit.image * dst_image +
                 (y.first + unit.row * dst_step) * dst_row + x.first * cut.dst.pitch;
      walk.rows = rows;
      walk.columns = x.count;
      walk.src_pixel = step * source.pixel_stride;
      walk.src_row = step * source.row_stride - x.count * walk.src_pixel;
      walk.src_image = source.image_stride - rows * step * source.row_stride;
      walk.dst_pixel = dst_step * cut.dst.pitch;
      walk.dst_row = dst_step * dst_row - x.count * walk.dst_pixel;
      walk.dst_image = dst_image - rows * dst_step * dst_row;
      const std::int64_t pixels = unit.images * rows * x.count;
      if (y.taps * x.taps == 0) {
        if (!cut.accumulate && unit.first_block == 0) zero_pixels(walk, pixels, cut.dst.c);
        continue;
      }
      const T* weights = static_cast<const T*>(cut.packed) + cut.pass.taps_before(y, x) * k_lanes;
      // Where pixels simply follow one another, all blocks of a few before the next few: their rows
      // are then in the first-level cache.
      std::int64_t group = pixels;
      if (cut.direct && cut.pass.geometry.stride == 1) {
        const std::int64_t pixel_bytes =
            (cut.src.c + cut.dst.c) * static_cast<std::int64_t>(sizeof(T));
        group = larger(kGroupBytes / pixel_bytes / 24, 1) * 24;
      }
      for (std::int64_t first = 0; first < pixels; first += group) {
        for (std::int64_t block = unit.first_block; block < unit.last_block; ++block) {
          const std::int64_t channel = blocks.first_channel(block);
          const TileArgs<T> args{weights + channel * y.taps * x.taps * cut.src.c,
                                 cut.bias ? static_cast<const T*>(cut.bias) + channel : nullptr,
                                 y.taps,
                                 x.taps * cut.src.c,
                                 source.row_stride,
                                 blocks.tail(block),
                                 cut.accumulate,
                                 cut.relu};
          Prefetch prefetch{0, 0};
          if (cut.streams) {
            if (cut.direct && block == unit.first_block) prefetch.src_elems = cut.src.c;
            prefetch.dst_elems = smaller(blocks.first_channel(block + 1), cut.dst.c) - channel;
          }
          Walk<T> block_walk = walk;
          block_walk.src += first * walk.src_pixel;
          block_walk.dst += first * walk.dst_pixel + channel;
          run_block(block_walk, smaller(group, pixels - first), args, blocks.block_vectors(block),
                    blocks.paired(block), prefetch, ahead);
        }
      }
    }
  }
}

}  // namespace msd::cpu::MSD_ISA
