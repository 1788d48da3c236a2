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

struct ConvolutionCut {
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

inline Unit unit_of(const ConvolutionCut& cut, std::int64_t index, std::int64_t blocks) {
  Unit unit;
  unit.first_block = index % cut.block_units * cut.unit_blocks;
  unit.last_block = smaller(unit.first_block + cut.unit_blocks, blocks);
  index /= cut.block_units;
  unit.row = index % cut.row_units * cut.unit_rows;
  unit.rows = smaller(cut.unit_rows, cut.rows - unit.row);
  unit.image = index / cut.row_units * cut.unit_images;
  unit.images = smaller(cut.unit_images, cut.dst.n - unit.image);
  return unit;
}

/// What a unit reads of a source that is copied.
inline Window window_of(const ConvolutionCut& cut, const Unit& unit) {
  Window window{unit.image, unit.images, 0, 0, 0, 0};
  cut.pass.extent(cut.dst.h, unit.row, unit.row + unit.rows, window.row, window.rows);
  cut.pass.extent(cut.dst.w, 0, cut.dst.w, window.column, window.columns);
  window.rows -= window.row;
  window.columns -= window.column;
  return window;
}

/// Fetches the source of unit `next` in `calls` calls.
template <typename T>
FetchAhead fetch_ahead(const ConvolutionCut& cut, const Unit& next, std::int64_t calls) {
  const Window window = window_of(cut, next);
  const std::int64_t w = cut.src.w, h = cut.src.h;
  const std::int64_t first = next.image * h + larger(window.row, 0);
  const std::int64_t last =
      (next.image + next.images - 1) * h + smaller(window.row + window.rows, h);
  return FetchAhead(cut.src.as<T>() + first * w * cut.src.pitch, (last - first) * w, cut.src.c,
                    cut.src.pitch, calls);
}

/// Whether vectors of pixels pay: the lanes that work, less what the transpositions cost
/// (measured).
template <typename T>
bool use_planar(const ConvolutionCut& cut) {
  if (!kHavePlanar || cut.dst.c > kMaxPlanarChannels) return false;
  if (cut.direct) return cut.pass.geometry.stride == 1;
  const std::int64_t lanes = kLanes<T>;
  const std::int64_t w = ceil_div(cut.dst.w, cut.pass.dst_step());
  const std::int64_t used = smaller(round_up(w, lanes), round_up(w, lanes / 2));
  return 10 * cut.dst.c * used < 9 * w * round_up(cut.dst.c, lanes);
}

template <typename T>
std::int64_t window_bytes(const ConvolutionCut& cut, std::int64_t rows) {
  const Window window = window_of(cut, Unit{0, 1, 0, rows, 0, 0});
  return (window.rows * (window.columns + cut.pass.step()) * cut.src.c +
          kScratchSlack<T>)*static_cast<std::int64_t>(sizeof(T));
}

/// Cuts into at least about `wanted_units` units. Results don't depend on the cut, so the cut may
/// depend on the number of threads. Throws ShapeError where a row does not fit into scratch memory.
template <typename T>
void cut_into_units(ConvolutionCut& cut, const char* op, std::int64_t wanted_units) {
  constexpr std::int64_t kBytes = sizeof(T);
  const ConvGeometry& g = cut.pass.geometry;
  cut.direct = g.kernel == 1;
  cut.streams =
      (cut.src.rows() * cut.src.pitch + cut.dst.rows() * cut.dst.pitch) * kBytes > kStreamBytes;
  if (cut.direct && g.stride == 1) {  // any run of pixels will do
    cut.src.h *= cut.src.n;
    cut.dst.h *= cut.dst.n;
    cut.src.n = cut.dst.n = cut.dst.h > 0 ? 1 : 0;
  }
  cut.planar = use_planar<T>(cut);
  cut.rows = cut.pass.axis(0, cut.dst.h).count;
  const std::int64_t images = cut.dst.elems() == 0 ? 0 : cut.dst.n;
  const std::int64_t row_mul_adds = larger(g.weight_elems() * cut.dst.w / cut.pass.dst_step(), 1);
  std::int64_t row_bytes = 0, image_bytes = 0;
  if (cut.direct) {
    row_bytes = cut.dst.w * cut.src.c * kBytes;
    image_bytes = row_bytes * cut.rows;
  } else if (images > 0) {
    row_bytes = window_bytes<T>(cut, 1);
    image_bytes = window_bytes<T>(cut, cut.rows);
    if (row_bytes > ThreadPool::kScratchBytes) throw_scratch_too_small(op, cut.src, g, row_bytes);
  }
  cut.unit_images = 1;
  cut.unit_rows = larger(cut.rows, 1);
  if (image_bytes <= kWindowBytes) {
    cut.unit_images = larger(smaller(kWindowBytes / larger(image_bytes, 1),
                                     kUnitMulAdds / (row_mul_adds * cut.unit_rows)),
                             1);
  } else {
    const std::int64_t more_bytes = larger((image_bytes - row_bytes) / larger(cut.rows - 1, 1), 1);
    cut.unit_rows = 1 + larger(kWindowBytes - row_bytes, 0) / more_bytes;
  }
  cut.unit_rows = larger(smaller(cut.unit_rows, larger(kUnitMulAdds / row_mul_adds, 4)), 1);
  cut.unit_rows = smaller(cut.unit_rows, larger(cut.rows, 1));
  const auto count = [&] {
    cut.row_units = ceil_div(cut.rows, cut.unit_rows);
    return ceil_div(images, cut.unit_images) * cut.row_units;
  };
  if (count() < wanted_units && cut.unit_images > 1) {
    cut.unit_images = larger(images / wanted_units, 1);
  }
  if (count() < wanted_units && images > 0) {
    const std::int64_t parts = ceil_div(wanted_units, ceil_div(images, cut.unit_images));
    cut.unit_rows = larger(smaller(cut.unit_rows, ceil_div(cut.rows, parts)), 1);
  }
  const std::int64_t blocks = ChannelBlocks::of<T>(cut.dst.c).blocks;
  const std::int64_t pixel_units = count();
  cut.unit_blocks = blocks;
  if (pixel_units > 0 && pixel_units < wanted_units) {
    cut.unit_blocks = ceil_div(blocks, ceil_div(wanted_units, pixel_units));
  }
  cut.block_units = ceil_div(blocks, cut.unit_blocks);
  cut.units = pixel_units * cut.block_units;
}

}  // namespace msd::cpu::MSD_ISA
