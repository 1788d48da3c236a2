// SPDX-License-Identifier: MIT
// A unit of work with vectors of pixels: transposes the source to planes, walks the destination's
// rows.
#pragma once

#include "kernels/cpu/convolution/conv_plan.h"

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
void run_planar_pixels(const Plan& plan, const T* src, T* dst, std::int64_t pixels, T* scratch) {
  constexpr std::int64_t kL = kLanes<T>;
  const int channels = static_cast<int>(plan.dst.c);
  const std::int64_t block = planar_vectors(channels) * kL;
  const PlanarArgs<T> args{static_cast<const T*>(plan.packed),
                           round_up(channels, kL),
                           static_cast<const T*>(plan.bias),
                           1,
                           1,
                           plan.src.c,
                           block,
                           0,
                           1,
                           0,
                           plan.relu};
  const auto fetch = [&](const T* first, std::int64_t count) __attribute__((always_inline)) {
    if (plan.streams) fetch_next_pixels(first, count, plan.dst.pitch);
  };
  for (; pixels > 0; pixels -= block) {
    const std::int64_t count = smaller(pixels, block);
    copy_to_planes(src, plan.src.pitch, count, plan.src.c, scratch, block, plan.streams);
    const PlanarTarget<T> target{dst, plan.dst.pitch, 0, 0, scratch, 0, 0, 1, 1, count};
    run_planar(target, args, channels, plan.accumulate, fetch);
    src += block * plan.src.pitch;
    dst += block * plan.dst.pitch;
  }
}

/// `next`: the unit that this worker will probably run next, or null.
template <typename T>
void run_planar_unit(const Plan& plan, const Unit& unit, const Unit* next, T* scratch) {
  if (plan.direct) {
    const std::int64_t first = unit.row * plan.src.w;
    run_planar_pixels(plan, plan.src.as<T>() + first * plan.src.pitch,
                      plan.dst.as<T>() + first * plan.dst.pitch, unit.rows * plan.src.w, scratch);
    return;
  }
  const std::int64_t step = plan.pass.step(), dst_step = plan.pass.dst_step();
  const int channels = static_cast<int>(plan.dst.c);
  const Window window = window_of(plan, unit);
  copy_planes(scratch, plan.src, window, step);
  const Planes planes = Planes::of(window, plan.src.c, step);
  FetchAhead ahead;
  if (plan.streams && next != nullptr) {
    ahead = fetch_ahead<T>(
        plan, *next,
        unit.images * unit.rows * plan.dst.w * dst_step / (planar_vectors(channels) * kLanes<T>));
  }
  const auto fetch = [&](const T* first, std::int64_t count) __attribute__((always_inline)) {
    ahead.advance();
    if (plan.streams) fetch_next_pixels(first, count, dst_step * plan.dst.pitch);
  };
  const std::int64_t pitch = round_up(plan.dst.c, kLanes<T>);
  const std::int64_t dst_row = plan.dst.w * plan.dst.pitch;
  for (std::int64_t ry = 0; ry < dst_step; ++ry) {
    const AxisClass y = plan.pass.axis(ry, plan.dst.h);
    const std::int64_t rows = smaller(unit.rows, y.count - unit.row);
    if (rows <= 0) continue;
    for (std::int64_t rx = 0; rx < dst_step; ++rx) {
      const AxisClass x = plan.pass.axis(rx, plan.dst.w);
      if (x.count == 0 || (y.taps * x.taps == 0 && plan.accumulate)) continue;
      const PlanarArgs<T> args{
          static_cast<const T*>(plan.packed) + plan.pass.taps_before(y, x) * plan.src.c * pitch,
          pitch,
          static_cast<const T*>(plan.bias),
          y.taps,
          x.taps,
          plan.src.c,
          planes.plane,
          planes.row,
          step,
          planes.phase,
          plan.relu};
      PlanarTarget<T> target;
      target.dst = plan.dst.as<T>() +
                   (unit.image * plan.dst.h + y.first + unit.row * dst_step) * dst_row +
                   x.first * plan.dst.pitch;
      target.dst_pixel = dst_step * plan.dst.pitch;
      target.dst_row = dst_step * dst_row;
      target.dst_image = plan.dst.h * dst_row;
      target.src = scratch + (unit.row * step + y.origin - window.row) * planes.row +
                   (x.origin - window.column);
      target.src_row = step * planes.row;
      target.src_image = planes.image;
      target.images = unit.images;
      target.rows = rows;
      target.columns = x.count;
      run_planar(target, args, channels, plan.accumulate, fetch);
    }
  }
}

}  // namespace msd::cpu::MSD_ISA

#endif
