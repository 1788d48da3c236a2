// SPDX-License-Identifier: MIT
#include "kernels/cpu/conv_limits.h"
#include "kernels/cpu/conv_pass.h"
#include "kernels/cpu/conv_planar.h"
#include "kernels/cpu/conv_source.h"
#include "kernels/cpu/conv_tile.h"

namespace msd::cpu::MSD_ISA {
namespace {

constexpr std::int64_t kWindowBytes = 160 << 10;  // a unit's source: a part of a second-level cache
constexpr std::int64_t kUnitMulAdds = 4 << 20;
constexpr int kMaxPlans = 32;

constexpr std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
constexpr std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }

/// One problem, cut into units: images x destination rows (of each class) x channel blocks.
struct Plan {
  PassGeometry pass;
  ConstView src;
  View dst;
  const void* packed;
  const void* bias;
  bool accumulate, relu;
  bool direct;        // 1x1: read the source where it is
  bool planar;        // vectors of pixels
  std::int64_t rows;  // destination rows of the largest class
  std::int64_t unit_images, unit_rows, unit_blocks;
  std::int64_t row_units, block_units, units;
};

template <typename T>
std::int64_t window_bytes(const Plan& plan, std::int64_t rows) {
  std::int64_t r0, r1, c0, c1;
  plan.pass.extent(plan.dst.h, 0, rows, r0, r1);
  plan.pass.extent(plan.dst.w, 0, plan.dst.w, c0, c1);
  return ((r1 - r0) * (c1 - c0) * plan.src.c +
          kScratchSlack<T>)*static_cast<std::int64_t>(sizeof(T));
}

/// Whether vectors of pixels pay: the lanes that work, less what the transpositions cost
/// (measured).
template <typename T>
bool use_planar(const Plan& plan) {
  if (!kHavePlanar || plan.dst.c > kMaxPlanarChannels) return false;
  const std::int64_t lanes = kLanes<T>;
  if (plan.direct) return plan.pass.geometry.stride == 1 && plan.dst.c <= 12;
  const std::int64_t w = ceil_div(plan.dst.w, plan.pass.dst_step());
  const std::int64_t used = smaller(round_up(w, lanes), round_up(w, lanes / 2));
  return 10 * plan.dst.c * used < 9 * w * round_up(plan.dst.c, lanes);
}

// Results don't depend on the cut, so the cut may depend on the number of threads.
template <typename T>
void cut(Plan& plan, const char* op, std::int64_t wanted_units) {
  const ConvGeometry& g = plan.pass.geometry;
  plan.direct = g.kernel == 1;
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
    row_bytes = plan.dst.w * plan.src.c * static_cast<std::int64_t>(sizeof(T));
    image_bytes = row_bytes * plan.rows;
  } else if (images > 0) {
    row_bytes = window_bytes<T>(plan, 1);
    image_bytes = window_bytes<T>(plan, plan.rows);
    if (row_bytes > ThreadPool::kScratchBytes) {
      throw_scratch_too_small(op, plan.src, g, row_bytes);
    }
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

template <typename T>
void run_block(const Walk<T>& start, std::int64_t pixels, const TileArgs<T>& args, int vectors,
               bool paired) {
  if (pixels == 0) return;
  Walk<T> walk = start;
  const std::int64_t tiles = ceil_div(pixels, tile_pixels(vectors));
  const int size = static_cast<int>(pixels / tiles);
  const std::int64_t large = pixels % tiles;
  const T* src[kMaxTilePixels];
  T* dst[kMaxTilePixels];
  std::int64_t i = 0;
  if (large > 0) {
    const Tile<T> tile = find_tile<T>(size + 1, vectors, paired);
    for (; i < large; ++i) {
      walk.take(size + 1, src, dst);
      tile(args, src, dst);
    }
  }
  const Tile<T> tile = find_tile<T>(size, vectors, paired);
  for (; i < tiles; ++i) {
    walk.take(size, src, dst);
    tile(args, src, dst);
  }
}

#if defined(__AVX512F__)

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
  for (; pixels > 0; pixels -= block) {
    const std::int64_t count = smaller(pixels, block);
    copy_to_planes(src, plan.src.pitch, count, plan.src.c, scratch, block);
    const PlanarTarget<T> target{dst, plan.dst.pitch, 0, 0, scratch, 0, 0, 1, 1, count};
    run_planar(target, args, channels, plan.accumulate);
    src += block * plan.src.pitch;
    dst += block * plan.dst.pitch;
  }
}

/// `unit`: images and rows of each class.
template <typename T>
void run_planar_unit(const Plan& plan, const Window& unit, T* scratch) {
  const std::int64_t row1 = unit.row + unit.rows, lanes = kLanes<T>;
  if (plan.direct) {
    const std::int64_t first = unit.row * plan.src.w;
    run_planar_pixels(plan, plan.src.as<T>() + first * plan.src.pitch,
                      plan.dst.as<T>() + first * plan.dst.pitch, unit.rows * plan.src.w, scratch);
    return;
  }
  Window window{unit.image, unit.images, 0, 0, 0, 0};
  plan.pass.extent(plan.dst.h, unit.row, row1, window.row, window.rows);
  plan.pass.extent(plan.dst.w, 0, plan.dst.w, window.column, window.columns);
  window.rows -= window.row;
  window.columns -= window.column;
  const std::int64_t step = plan.pass.step(), dst_step = plan.pass.dst_step();
  copy_planes(scratch, plan.src, window, step);
  const Planes planes = Planes::of(window, plan.src.c, step);
  const std::int64_t pitch = round_up(plan.dst.c, lanes);
  const std::int64_t dst_row = plan.dst.w * plan.dst.pitch;
  for (std::int64_t ry = 0; ry < dst_step; ++ry) {
    const AxisClass y = plan.pass.axis(ry, plan.dst.h);
    const std::int64_t rows = smaller(row1, y.count) - unit.row;
    if (rows <= 0) continue;
    for (std::int64_t rx = 0; rx < dst_step; ++rx) {
      const AxisClass x = plan.pass.axis(rx, plan.dst.w);
      if (x.count == 0) continue;
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
      if (y.taps * x.taps == 0 && plan.accumulate) continue;
      run_planar(target, args, static_cast<int>(plan.dst.c), plan.accumulate);
    }
  }
}

#endif

template <typename T>
void run_unit(const Plan& plan, std::int64_t unit, std::byte* scratch) {
  const ChannelBlocks blocks = ChannelBlocks::of<T>(plan.dst.c);
  const std::int64_t first_block = unit % plan.block_units * plan.unit_blocks;
  const std::int64_t last_block = smaller(first_block + plan.unit_blocks, blocks.blocks);
  unit /= plan.block_units;
  const std::int64_t row0 = unit % plan.row_units * plan.unit_rows;
  const std::int64_t row1 = smaller(row0 + plan.unit_rows, plan.rows);
  const std::int64_t image = unit / plan.row_units * plan.unit_images;
  const std::int64_t images = smaller(plan.unit_images, plan.dst.n - image);

#if defined(__AVX512F__)
  if (plan.planar) {
    run_planar_unit<T>(plan, Window{image, images, row0, row1 - row0, 0, 0},
                       reinterpret_cast<T*>(scratch));
    return;
  }
#endif

  Source<T> source;
  std::int64_t src_row = 0, src_column = 0;  // what source.data is
  if (plan.direct) {
    const std::int64_t pitch = plan.src.pitch, w = plan.src.w, h = plan.src.h;
    source = {plan.src.as<T>() + image * h * w * pitch, h * w * pitch, w * pitch, pitch};
  } else {
    Window window{image, images, 0, 0, 0, 0};
    plan.pass.extent(plan.dst.h, row0, row1, window.row, window.rows);
    plan.pass.extent(plan.dst.w, 0, plan.dst.w, window.column, window.columns);
    window.rows -= window.row;
    window.columns -= window.column;
    src_row = window.row;
    src_column = window.column;
    source = copy_window(reinterpret_cast<T*>(scratch), plan.src, window);
  }

  const std::int64_t step = plan.pass.step(), dst_step = plan.pass.dst_step();
  const std::int64_t k_lanes = plan.src.c * blocks.vectors * blocks.lanes;
  const std::int64_t dst_row = plan.dst.w * plan.dst.pitch, dst_image = plan.dst.h * dst_row;
  for (std::int64_t ry = 0; ry < dst_step; ++ry) {
    const AxisClass y = plan.pass.axis(ry, plan.dst.h);
    const std::int64_t rows = smaller(row1, y.count) - row0;
    if (rows <= 0) continue;
    for (std::int64_t rx = 0; rx < dst_step; ++rx) {
      const AxisClass x = plan.pass.axis(rx, plan.dst.w);
      if (x.count == 0) continue;
      Walk<T> walk;
      walk.src = source.data + (row0 * step + y.origin - src_row) * source.row_stride +
                 (x.origin - src_column) * source.pixel_stride;
      walk.dst = plan.dst.as<T>() + image * dst_image + (y.first + row0 * dst_step) * dst_row +
                 x.first * plan.dst.pitch;
      walk.rows = rows;
      walk.columns = x.count;
      walk.src_pixel = step * source.pixel_stride;
      walk.src_row = step * source.row_stride - x.count * walk.src_pixel;
      walk.src_image = source.image_stride - rows * step * source.row_stride;
      walk.dst_pixel = dst_step * plan.dst.pitch;
      walk.dst_row = dst_step * dst_row - x.count * walk.dst_pixel;
      walk.dst_image = dst_image - rows * dst_step * dst_row;
      const std::int64_t pixels = images * rows * x.count;
      if (y.taps * x.taps == 0) {
        if (!plan.accumulate && first_block == 0) zero_pixels(walk, pixels, plan.dst.c);
        continue;
      }
      const T* weights = static_cast<const T*>(plan.packed) + plan.pass.taps_before(y, x) * k_lanes;
      for (std::int64_t block = first_block; block < last_block; ++block) {
        const std::int64_t channel = blocks.first_channel(block);
        const TileArgs<T> args{weights + channel * y.taps * x.taps * plan.src.c,
                               plan.bias ? static_cast<const T*>(plan.bias) + channel : nullptr,
                               y.taps,
                               x.taps * plan.src.c,
                               source.row_stride,
                               blocks.tail(block),
                               plan.accumulate,
                               plan.relu};
        Walk<T> block_walk = walk;
        block_walk.dst += channel;
        run_block(block_walk, pixels, args, blocks.block_vectors(block), blocks.paired(block));
      }
    }
  }
}

/// Runs all units of up to kMaxPlans problems in one parallel loop.
template <typename Args, typename MakePlan>
void run_group(ThreadPool& pool, std::span<const Args> group, const char* op,
               const MakePlan& make_plan) {
  for (const Args& args : group) require_cpu_dtype(op, make_plan(args).src.dtype);
  while (!group.empty()) {
    const std::size_t count = group.size() < kMaxPlans ? group.size() : kMaxPlans;
    Plan plans[kMaxPlans];
    std::int64_t units = 0;
    const std::int64_t threads = pool.size();
    const std::int64_t wanted =
        threads == 1 ? 1 : ceil_div(4 * threads, static_cast<std::int64_t>(count));
    for (std::size_t i = 0; i < count; ++i) {
      plans[i] = make_plan(group[i]);
      for_dtype(plans[i].src.dtype, [&]<typename T>() { cut<T>(plans[i], op, wanted); });
      units += plans[i].units;
    }
    pool.parallel_for(units, [&](std::int64_t unit, int worker) {
      const Plan* plan = plans;
      while (unit >= plan->units) unit -= plan++->units;
      for_dtype(plan->src.dtype,
                [&]<typename T>() { run_unit<T>(*plan, unit, pool.scratch(worker)); });
    });
    group = group.subspan(count);
  }
}

template <typename T>
void pack(const ConvPackArgs& args, const PassGeometry& pass) {
  const ConvGeometry& g = args.geometry;
  const T* weight = static_cast<const T*>(args.weight);
  T* packed = static_cast<T*>(args.packed);
  const ChannelBlocks blocks = ChannelBlocks::of<T>(pass.dst_channels());
  const std::int64_t src_c = pass.src_channels(), dst_c = pass.dst_channels();
  const std::int64_t src_step = pass.forward() ? 1 : g.kernel * g.kernel * g.cin;
  const std::int64_t dst_step = pass.forward() ? g.kernel * g.kernel * g.cin : 1;
  const std::int64_t k_lanes = src_c * blocks.vectors * blocks.lanes;
  for (std::int64_t ry = 0; ry < pass.dst_step(); ++ry) {
    const AxisClass y = pass.axis(ry, 1);
    for (std::int64_t rx = 0; rx < pass.dst_step(); ++rx) {
      const AxisClass x = pass.axis(rx, 1);
      T* to = packed + pass.taps_before(y, x) * k_lanes;
      for (std::int64_t block = 0; block < blocks.blocks; ++block) {
        const std::int64_t channel = blocks.first_channel(block);
        const std::int64_t width = blocks.block_vectors(block) * blocks.lanes;
        const std::int64_t copy = blocks.paired(block) ? width - blocks.lanes / 2 : width;
        for (std::int64_t ty = 0; ty < y.taps; ++ty) {
          for (std::int64_t tx = 0; tx < x.taps; ++tx) {
            const T* tap = weight + ((y.first_tap + ty * y.tap_step) * g.kernel + x.first_tap +
                                     tx * x.tap_step) *
                                        g.cin;
            for (std::int64_t c = 0; c < src_c; ++c, to += width) {
              const T* from = tap + c * src_step + channel * dst_step;
              const std::int64_t exist = smaller(width, dst_c - channel);
              for (std::int64_t i = 0; i < exist; ++i) to[i] = from[i * dst_step];
              for (std::int64_t i = exist; i < width; ++i) to[i] = T{};
              for (std::int64_t i = copy; i < width; ++i) to[i] = to[i - blocks.lanes / 2];
            }
          }
        }
      }
    }
  }
  const std::int64_t used = g.kernel * g.kernel * k_lanes;
  for (std::int64_t i = used; i < conv_packed_elems(g, args.pass); ++i) packed[i] = T{};
}

}  // namespace

void conv_pack(ThreadPool& pool, std::span<const ConvPackArgs> group) {
  for (const ConvPackArgs& args : group) require_cpu_dtype("conv_pack", args.dtype);
  pool.parallel_for(static_cast<std::int64_t>(group.size()), [&](std::int64_t i, int) {
    const ConvPackArgs& args = group[static_cast<std::size_t>(i)];
    for_dtype(args.dtype, [&]<typename T>() { pack<T>(args, {args.geometry, args.pass}); });
  });
}

void conv_forward(ThreadPool& pool, std::span<const ConvForwardArgs> group) {
  run_group(pool, group, "conv_forward", [](const ConvForwardArgs& a) {
    Plan plan{};
    plan.pass = {a.geometry, ConvPass::forward};
    plan.src = a.x;
    plan.dst = a.y;
    plan.packed = a.packed;
    plan.bias = a.bias;
    plan.relu = a.relu;
    return plan;
  });
}

void conv_backward_data(ThreadPool& pool, std::span<const ConvBackwardDataArgs> group) {
  run_group(pool, group, "conv_backward_data", [](const ConvBackwardDataArgs& a) {
    Plan plan{};
    plan.pass = {a.geometry, ConvPass::backward_data};
    plan.src = a.dy;
    plan.dst = a.dx;
    plan.packed = a.packed;
    plan.accumulate = a.accumulate;
    return plan;
  });
}

}  // namespace msd::cpu::MSD_ISA
