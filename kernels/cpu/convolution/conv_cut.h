// SPDX-License-Identifier: MIT
// One convolution (forward, or gradient with respect to the input) cut into units of work.
#pragma once

#include "kernels/cpu/convolution/conv_limits.h"
#include "kernels/cpu/convolution/conv_pass.h"
#include "kernels/cpu/convolution/conv_planar.h"
#include "kernels/cpu/convolution/conv_source.h"
#include "kernels/cpu/convolution/conv_tile.h"

namespace msd::cpu::MSD_ISA {

inline constexpr std::int64_t kWindowBytes = 256 << 10;  // a unit's source: a part of the L2 cache
inline constexpr std::int64_t kUnitMulAdds = 4 << 20;
inline constexpr std::int64_t kStreamBytes = 1 << 20;  // larger operands come from beyond L2

constexpr std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
constexpr std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }

struct Plan {
  PassGeometry pass;
  ConstView src;
  View dst;
  const void* packed;
  const void* bias;
  bool accumulate, relu;

  bool direct;        // 1x1: the source is read where it is
  bool planar;        // vectors of pixels (conv_planar.h), otherwise of channels
  bool streams;       // operands are fetched ahead of their use
  std::int64_t rows;  // destination rows of the largest class
  std::int64_t unit_images, unit_rows, unit_blocks;
  std::int64_t row_units, block_units, units;
};

/// Images x rows (of each class) x channel blocks of the destination.
struct Unit {
  std::int64_t image, images, row, rows, first_block, last_block;
};

inline Unit unit_of(const Plan& plan, std::int64_t index, std::int64_t blocks) {
  Unit unit;
  unit.first_block = index % plan.block_units * plan.unit_blocks;
  unit.last_block = smaller(unit.first_block + plan.unit_blocks, blocks);
  index /= plan.block_units;
  unit.row = index % plan.row_units * plan.unit_rows;
  unit.rows = smaller(plan.unit_rows, plan.rows - unit.row);
  unit.image = index / plan.row_units * plan.unit_images;
  unit.images = smaller(plan.unit_images, plan.dst.n - unit.image);
  return unit;
}

/// What a unit reads of a source that is copied.
inline Window window_of(const Plan& plan, const Unit& unit) {
  Window window{unit.image, unit.images, 0, 0, 0, 0};
  plan.pass.extent(plan.dst.h, unit.row, unit.row + unit.rows, window.row, window.rows);
  plan.pass.extent(plan.dst.w, 0, plan.dst.w, window.column, window.columns);
  window.rows -= window.row;
  window.columns -= window.column;
  return window;
}

/// Fetches the source of unit `next` in `calls` calls.
template <typename T>
FetchAhead fetch_ahead(const Plan& plan, const Unit& next, std::int64_t calls) {
  const Window window = window_of(plan, next);
  const std::int64_t w = plan.src.w, h = plan.src.h;
  const std::int64_t first = next.image * h + larger(window.row, 0);
  const std::int64_t last =
      (next.image + next.images - 1) * h + smaller(window.row + window.rows, h);
  return FetchAhead(plan.src.as<T>() + first * w * plan.src.pitch, (last - first) * w, plan.src.c,
                    plan.src.pitch, calls);
}

/// Whether vectors of pixels pay: the lanes that work, less what the transpositions cost
/// (measured).
template <typename T>
bool use_planar(const Plan& plan) {
  if (!kHavePlanar || plan.dst.c > kMaxPlanarChannels) return false;
  if (plan.direct) return plan.pass.geometry.stride == 1;
  const std::int64_t lanes = kLanes<T>;
  const std::int64_t w = ceil_div(plan.dst.w, plan.pass.dst_step());
  const std::int64_t used = smaller(round_up(w, lanes), round_up(w, lanes / 2));
  return 10 * plan.dst.c * used < 9 * w * round_up(plan.dst.c, lanes);
}

template <typename T>
std::int64_t window_bytes(const Plan& plan, std::int64_t rows) {
  const Window window = window_of(plan, Unit{0, 1, 0, rows, 0, 0});
  return (window.rows * (window.columns + plan.pass.step()) * plan.src.c +
          kScratchSlack<T>)*static_cast<std::int64_t>(sizeof(T));
}

/// Cuts into at least about `wanted_units` units. Results don't depend on the cut, so the cut may
/// depend on the number of threads. Throws ShapeError where a row does not fit into scratch memory.
template <typename T>
void cut(Plan& plan, const char* op, std::int64_t wanted_units) {
  constexpr std::int64_t kBytes = sizeof(T);
  const ConvGeometry& g = plan.pass.geometry;
  plan.direct = g.kernel == 1;
  plan.streams =
      (plan.src.rows() * plan.src.pitch + plan.dst.rows() * plan.dst.pitch) * kBytes > kStreamBytes;
  if (plan.direct && g.stride == 1) {  // any run of pixels will do
    plan.src.h *= plan.src.n;
    plan.dst.h *= plan.dst.n;
    plan.src.n = plan.dst.n = plan.dst.h > 0 ? 1 : 0;
  }
  plan.planar = use_planar<T>(plan);
  plan.rows = plan.pass.axis(0, plan.dst.h).count;
  const std::int64_t images = plan.dst.elems() == 0 ? 0 : plan.dst.n;
  const std::int64_t row_mul_adds = larger(g.weight_elems() * plan.dst.w / plan.pass.dst_step(), 1);
  std::int64_t row_bytes = 0, image_bytes = 0;
  if (plan.direct) {
    row_bytes = plan.dst.w * plan.src.c * kBytes;
    image_bytes = row_bytes * plan.rows;
  } else if (images > 0) {
    row_bytes = window_bytes<T>(plan, 1);
    image_bytes = window_bytes<T>(plan, plan.rows);
    if (row_bytes > ThreadPool::kScratchBytes) throw_scratch_too_small(op, plan.src, g, row_bytes);
  }
  plan.unit_images = 1;
  plan.unit_rows = larger(plan.rows, 1);
  if (image_bytes <= kWindowBytes) {
    plan.unit_images = larger(smaller(kWindowBytes / larger(image_bytes, 1),
                                      kUnitMulAdds / (row_mul_adds * plan.unit_rows)),
                              1);
  } else {
    const std::int64_t more_bytes = larger((image_bytes - row_bytes) / larger(plan.rows - 1, 1), 1);
    plan.unit_rows = 1 + larger(kWindowBytes - row_bytes, 0) / more_bytes;
  }
  plan.unit_rows = larger(smaller(plan.unit_rows, larger(kUnitMulAdds / row_mul_adds, 4)), 1);
  plan.unit_rows = smaller(plan.unit_rows, larger(plan.rows, 1));
  const auto count = [&] {
    plan.row_units = ceil_div(plan.rows, plan.unit_rows);
    return ceil_div(images, plan.unit_images) * plan.row_units;
  };
  if (count() < wanted_units && plan.unit_images > 1) {
    plan.unit_images = larger(images / wanted_units, 1);
  }
  if (count() < wanted_units && images > 0) {
    const std::int64_t parts = ceil_div(wanted_units, ceil_div(images, plan.unit_images));
    plan.unit_rows = larger(smaller(plan.unit_rows, ceil_div(plan.rows, parts)), 1);
  }
  const std::int64_t blocks = ChannelBlocks::of<T>(plan.dst.c).blocks;
  const std::int64_t pixel_units = count();
  plan.unit_blocks = blocks;
  if (pixel_units > 0 && pixel_units < wanted_units) {
    plan.unit_blocks = ceil_div(blocks, ceil_div(wanted_units, pixel_units));
  }
  plan.block_units = ceil_div(blocks, plan.unit_blocks);
  plan.units = pixel_units * plan.block_units;
}

}  // namespace msd::cpu::MSD_ISA
