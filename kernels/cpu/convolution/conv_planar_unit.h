// SPDX-License-Identifier: MIT
// A unit of work with vectors of pixels: transposes the source to planes, walks the destination's
// rows.
#pragma once

#include "kernels/cpu/convolution/conv_cut.h"

#if defined(__AVX512F__)

namespace msd::cpu::MSD_ISA {

/// Fetches the rows of the next tile's pixels, which will be written in part.
template <typename T>
MSD_INLINE void fetch_next_pixels(const T* first, std::int64_t pixels, std::int64_t pixel) {
  constexpr std::int64_t kLine = 64 / static_cast<std::int64_t>(sizeof(T));
  const std::int64_t step = pixel < kLine ? kLine : pixel;
  for (std::int64_t i = 0; i < pixels * pixel; i += step) {
    __builtin_prefetch(first + pixels * pixel + i, 1);
  }
}

/// A 1x1 convolution of a run of pixels.
template <typename T>
void run_planar_pixels(const ConvolutionCut& cut, const T* src, T* dst, std::int64_t pixels,
                       T* scratch) {
  constexpr std::int64_t kL = kLanes<T>;
  const int channels = static_cast<int>(cut.dst.c);
  const std::int64_t block = planar_vectors(channels) * kL;
  const PlanarArgs<T> args{static_cast<const T*>(cut.packed),
                           round_up(channels, kL),
                           static_cast<const T*>(cut.bias),
                           1,
                           1,
                           cut.src.c,
                           block,
                           0,
                           1,
                           0,
                           cut.relu};
  const auto fetch = [&](const T* first, std::int64_t count) __attribute__((always_inline)) {
    if (cut.streams) fetch_next_pixels(first, count, cut.dst.pitch);
  };
  for (; pixels > 0; pixels -= block) {
    const std::int64_t count = smaller(pixels, block);
    copy_to_planes(src, cut.src.pitch, count, cut.src.c, scratch, block, cut.streams);
    const PlanarTarget<T> target{dst, cut.dst.pitch, 0, 0, scratch, 0, 0, 1, 1, count};
    run_planar(target, args, channels, cut.accumulate, fetch);
    src += block * cut.src.pitch;
    dst += block * cut.dst.pitch;
  }
}

/// `next`: the unit that this worker will probably run next, or null.
template <typename T>
void run_planar_unit(const ConvolutionCut& cut, const Unit& unit, const Unit* next, T* scratch) {
  if (cut.direct) {
    const std::int64_t first = unit.row * cut.src.w;
    run_planar_pixels(cut, cut.src.as<T>() + first * cut.src.pitch,
                      cut.dst.as<T>() + first * cut.dst.pitch, unit.rows * cut.src.w, scratch);
    return;
  }
  const std::int64_t step = cut.pass.step(), dst_step = cut.pass.dst_step();
  const int channels = static_cast<int>(cut.dst.c);
  const Window window = window_of(cut, unit);
  copy_planes(scratch, cut.src, window, step);
  const Planes planes = Planes::of(window, cut.src.c, step);
  FetchAhead ahead;
  if (cut.streams && next != nullptr) {
    ahead = fetch_ahead<T>(
        cut, *next,
        unit.images * unit.rows * cut.dst.w * dst_step / (planar_vectors(channels) * kLanes<T>));
  }
  const auto fetch = [&](const T* first, std::int64_t count) __attribute__((always_inline)) {
    ahead.advance();
    if (cut.streams) fetch_next_pixels(first, count, dst_step * cut.dst.pitch);
  };
  const std::int64_t pitch = round_up(cut.dst.c, kLanes<T>);
  const std::int64_t dst_row = cut.dst.w * cut.dst.pitch;
  for (std::int64_t ry = 0; ry < dst_step; ++ry) {
    const AxisClass y = cut.pass.axis(ry, cut.dst.h);
    const std::int64_t rows = smaller(unit.rows, y.count - unit.row);
    if (rows <= 0) continue;
    for (std::int64_t rx = 0; rx < dst_step; ++rx) {
      const AxisClass x = cut.pass.axis(rx, cut.dst.w);
      if (x.count == 0 || (y.taps * x.taps == 0 && cut.accumulate)) continue;
      const PlanarArgs<T> args{
          static_cast<const T*>(cut.packed) + cut.pass.taps_before(y, x) * cut.src.c * pitch,
          pitch,
          static_cast<const T*>(cut.bias),
          y.taps,
          x.taps,
          cut.src.c,
          planes.plane,
          planes.row,
          step,
          planes.phase,
          cut.relu};
      PlanarTarget<T> target;
      target.dst = cut.dst.as<T>() +
                   (unit.image * cut.dst.h + y.first + unit.row * dst_step) * dst_row +
                   x.first * cut.dst.pitch;
      target.dst_pixel = dst_step * cut.dst.pitch;
      target.dst_row = dst_step * dst_row;
      target.dst_image = cut.dst.h * dst_row;
      target.src = scratch + (unit.row * step + y.origin - window.row) * planes.row +
                   (x.origin - window.column);
      target.src_row = step * planes.row;
      target.src_image = planes.image;
      target.images = unit.images;
      target.rows = rows;
      target.columns = x.count;
      run_planar(target, args, channels, cut.accumulate, fetch);
    }
  }
}

}  // namespace msd::cpu::MSD_ISA

#endif
