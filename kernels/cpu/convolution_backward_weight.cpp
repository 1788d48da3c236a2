// SPDX-License-Identifier: MIT
#include "kernels/cpu/conv_gradient_tile.h"
#include "kernels/cpu/conv_limits.h"
#include "kernels/cpu/conv_source.h"

namespace msd::cpu::MSD_ISA {
namespace {

// A block of pixels is copied and then swept by every tile. It should stay in the second-level
// cache and yet be long enough that reading and writing the sums around each sweep cost little.
constexpr std::int64_t kWindowBytes = 96 << 10;
constexpr std::int64_t kMaxWindowBytes = 768 << 10;
constexpr std::int64_t kBlockPixels = 128;      // as many as kMaxWindowBytes allow
constexpr std::int64_t kMaxBlockPixels = 1024;  // as many as kWindowBytes allow
constexpr int kMaxPlans = 32;

constexpr std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
constexpr std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }

struct Plan {
  const ConvBackwardWeightArgs* args;
  bool vector_is_x;    // x's run is the vector and dy is broadcast, or the other way round
  std::int64_t run;    // kernel*cin: x's contiguous values of one kernel row at one pixel
  std::int64_t pitch;  // of the partial sums
  std::int64_t block_images, block_rows, blocks_per_image;  // pixels copied and summed at once
  std::int64_t blocks, chunks;
  std::int64_t partial_elems;
};

template <typename T>
Plan make_plan(const ConvBackwardWeightArgs& args) {
  const ConvGeometry& g = args.geometry;
  const std::int64_t lanes = kLanes<T>;
  Plan plan{};
  plan.args = &args;
  plan.run = g.kernel * g.cin;
  const std::int64_t x_waste = round_up(plan.run, lanes) * g.cout;
  const std::int64_t dy_waste = plan.run * round_up(g.cout, lanes);
  plan.vector_is_x = x_waste <= dy_waste;
  plan.pitch = round_up(plan.vector_is_x ? plan.run : g.cout, lanes);
  plan.chunks = weight_gradient_chunks(g, args.x.n, args.x.h, args.x.w);
  plan.partial_elems = weight_gradient_partial_elems(g);

  const ConstView& dy = args.dy;
  const std::int64_t width = (dy.w - 1) * g.stride + g.kernel;
  const auto bytes = [&](std::int64_t rows) {
    const std::int64_t x_rows = (rows - 1) * g.stride + g.kernel;
    return (x_rows * width * g.cin + kScratchSlack<T>)*static_cast<std::int64_t>(sizeof(T));
  };
  if (bytes(1) > ThreadPool::kScratchBytes) {
    throw_scratch_too_small("conv_backward_weight", args.x, g, bytes(1));
  }
  const auto good = [&](std::int64_t pixels, std::int64_t window) {
    return pixels <= kBlockPixels ? window <= kMaxWindowBytes
                                  : pixels <= kMaxBlockPixels && window <= kWindowBytes;
  };
  plan.block_rows = 1;
  while (plan.block_rows < dy.h && good((plan.block_rows + 1) * dy.w, bytes(plan.block_rows + 1))) {
    ++plan.block_rows;
  }
  plan.blocks_per_image = ceil_div(dy.h, plan.block_rows);
  plan.block_rows = ceil_div(dy.h, plan.blocks_per_image);
  plan.blocks_per_image = ceil_div(dy.h, plan.block_rows);
  plan.block_images = 1;
  if (plan.blocks_per_image == 1) {
    const std::int64_t most = larger(1, dy.n / plan.chunks);
    while (plan.block_images < most &&
           good((plan.block_images + 1) * dy.h * dy.w, (plan.block_images + 1) * bytes(dy.h))) {
      ++plan.block_images;
    }
  }
  plan.blocks = ceil_div(dy.n, plan.block_images) * plan.blocks_per_image;
  return plan;
}

/// Sums one block of pixels, or adds it to the partial sums.
template <typename T>
void sum_block(const Plan& plan, std::int64_t block, bool add, T* partial, T* scratch) {
  const ConvBackwardWeightArgs& args = *plan.args;
  const ConvGeometry& g = args.geometry;
  const ConstView& dy = args.dy;
  const std::int64_t image = block / plan.blocks_per_image * plan.block_images;
  const std::int64_t images = smaller(plan.block_images, dy.n - image);
  const std::int64_t row0 = block % plan.blocks_per_image * plan.block_rows;
  const std::int64_t rows = smaller(plan.block_rows, dy.h - row0);

  Source<T> x;
  if (g.kernel == 1) {
    const std::int64_t pitch = args.x.pitch, row = args.x.w * pitch;
    x = {args.x.as<T>() + image * args.x.h * row + row0 * g.stride * row, args.x.h * row, row,
         pitch};
  } else {
    x = copy_window(scratch, args.x,
                    {image, images, row0 * g.stride - g.padding, (rows - 1) * g.stride + g.kernel,
                     -g.padding, (dy.w - 1) * g.stride + g.kernel});
  }
  const T* dy_data = dy.as<T>() + (image * dy.h + row0) * dy.w * dy.pitch;

  GradientTileArgs<T> tile;
  tile.images = images;
  tile.rows = rows;
  tile.columns = dy.w;
  const std::int64_t x_strides[] = {g.stride * x.pixel_stride, g.stride * x.row_stride,
                                    x.image_stride};
  const std::int64_t dy_strides[] = {dy.pitch, dy.w * dy.pitch, dy.h * dy.w * dy.pitch};
  const std::int64_t* vs = plan.vector_is_x ? x_strides : dy_strides;
  const std::int64_t* ss = plan.vector_is_x ? dy_strides : x_strides;
  tile.vector_pixel = vs[0], tile.vector_row = vs[1], tile.vector_image = vs[2];
  tile.scalar_pixel = ss[0], tile.scalar_row = ss[1], tile.scalar_image = ss[2];
  tile.pitch = plan.pitch;
  tile.add = add;
  if (images == 1 || (tile.vector_image == rows * tile.vector_row &&
                      tile.scalar_image == rows * tile.scalar_row)) {
    tile.rows *= images;
    tile.images = 1;
  }
  if (tile.vector_row == tile.columns * tile.vector_pixel &&
      tile.scalar_row == tile.columns * tile.scalar_pixel) {
    tile.columns *= tile.rows;
    tile.rows = 1;
  }

  const std::int64_t vector_elems = plan.vector_is_x ? plan.run : g.cout;
  const std::int64_t scalar_elems = plan.vector_is_x ? g.cout : plan.run;
  const ChannelBlocks vectors = ChannelBlocks::of<T>(vector_elems);
  for (std::int64_t kh = 0; kh < g.kernel; ++kh) {
    const T* x_data = x.data + kh * x.row_stride;
    const T* vector_data = plan.vector_is_x ? x_data : dy_data;
    const T* scalar_data = plan.vector_is_x ? dy_data : x_data;
    for (std::int64_t b = 0; b < vectors.blocks; ++b) {
      const int width = vectors.block_vectors(b);
      const std::int64_t first = vectors.first_vector(b) * vectors.lanes;
      tile.tail = static_cast<int>(
          smaller(vectors.lanes, vector_elems - first - (width - 1) * vectors.lanes));
      tile.vectors = vector_data + first;
      const bool partial_load = tile.tail < vectors.lanes;
      const std::int64_t parts = ceil_div(scalar_elems, tile_pixels(width));
      for (std::int64_t part = 0; part < parts; ++part) {
        const std::int64_t from = part * scalar_elems / parts;
        const std::int64_t to = (part + 1) * scalar_elems / parts;
        tile.scalars = scalar_data + from;
        // [kh][cout][run] or [kh][run][cout]
        tile.sums = partial + (kh * scalar_elems + from) * plan.pitch + first;
        const int count = static_cast<int>(to - from);
        (partial_load ? find_gradient_tile<T, true>(count, width)
                      : find_gradient_tile<T, false>(count, width))(tile);
      }
    }
  }
  if (args.dbias != nullptr) {
    T* sums = partial + plan.partial_elems - round_up(g.cout, 16);
    for (std::int64_t c = 0; c < g.cout && !add; ++c) sums[c] = T{};
    for (std::int64_t i = 0; i < images; ++i) {
      const T* from = dy_data + i * dy.h * dy.w * dy.pitch;
      for (std::int64_t p = 0; p < rows * dy.w; ++p, from += dy.pitch) {
        for (std::int64_t c = 0; c < g.cout; ++c) sums[c] += from[c];
      }
    }
  }
}

template <typename T>
void run_chunk(const Plan& plan, std::int64_t chunk, std::byte* scratch) {
  T* partial = static_cast<T*>(plan.args->workspace) + chunk * plan.partial_elems;
  const std::int64_t first = chunk * plan.blocks / plan.chunks;
  const std::int64_t last = (chunk + 1) * plan.blocks / plan.chunks;
  if (first == last) {
    for (std::int64_t i = 0; i < plan.partial_elems; ++i) partial[i] = T{};
  }
  for (std::int64_t block = first; block < last; ++block) {
    sum_block<T>(plan, block, block > first, partial, reinterpret_cast<T*>(scratch));
  }
}

constexpr std::int64_t kReduceRun = 32;  // elements of a kernel row that one unit of work reduces

std::int64_t reduce_units(const Plan& plan) {
  return plan.args->geometry.kernel * ceil_div(plan.run, kReduceRun);
}

/// Sum of `count` (at most lanes) neighbouring elements over the chunks, in order.
template <typename T>
MSD_INLINE Vec<T> sum_chunks(const Plan& plan, const T* from, int count) {
  Vec<T> sum = load_head(from, count);
  for (std::int64_t chunk = 1; chunk < plan.chunks; ++chunk) {
    sum += load_head(from + chunk * plan.partial_elems, count);
  }
  return sum;
}

/// Adds the chunks' sums and writes a part of the runs of one kernel row of dw; unit 0 writes
/// dbias.
template <typename T>
void reduce(const Plan& plan, std::int64_t unit) {
  constexpr std::int64_t kLane = kLanes<T>;
  const ConvBackwardWeightArgs& args = *plan.args;
  const ConvGeometry& g = args.geometry;
  const T* partials = static_cast<const T*>(args.workspace);
  const std::int64_t parts = ceil_div(plan.run, kReduceRun);
  const std::int64_t kh = unit / parts, first = unit % parts * kReduceRun;
  const std::int64_t count = smaller(kReduceRun, plan.run - first);
  const auto head = [](std::int64_t n) { return static_cast<int>(smaller(n, kLane)); };
  T* dw = static_cast<T*>(args.dw) + kh * plan.run + first;  // of output channel 0
  const std::int64_t dw_pitch = g.kernel * plan.run;
  if (plan.vector_is_x) {
    for (std::int64_t co = 0; co < g.cout; ++co) {
      const T* from = partials + (kh * g.cout + co) * plan.pitch + first;
      for (std::int64_t i = 0; i < count; i += kLane) {
        const int n = head(count - i);
        store_head(dw + co * dw_pitch + i, sum_chunks(plan, from + i, n), n);
      }
    }
  } else {
    alignas(64) T sums[kReduceRun][kLane];
    for (std::int64_t co = 0; co < g.cout; co += kLane) {
      const int n = head(g.cout - co);
      for (std::int64_t i = 0; i < count; ++i) {
        store(sums[i],
              sum_chunks(plan, partials + (kh * plan.run + first + i) * plan.pitch + co, n));
      }
      for (int c = 0; c < n; ++c) {
        T* to = dw + (co + c) * dw_pitch;
        for (std::int64_t i = 0; i < count; ++i) to[i] = sums[i][c];
      }
    }
  }
  if (unit == 0 && args.dbias != nullptr) {
    const T* from = partials + plan.partial_elems - round_up(g.cout, 16);
    for (std::int64_t co = 0; co < g.cout; co += kLane) {
      const int n = head(g.cout - co);
      store_head(static_cast<T*>(args.dbias) + co, sum_chunks(plan, from + co, n), n);
    }
  }
}

}  // namespace

void conv_backward_weight(ThreadPool& pool, std::span<const ConvBackwardWeightArgs> group) {
  for (const ConvBackwardWeightArgs& args : group) {
    require_cpu_dtype("conv_backward_weight", args.x.dtype);
  }
  while (!group.empty()) {
    const std::size_t count = group.size() < kMaxPlans ? group.size() : kMaxPlans;
    Plan plans[kMaxPlans];
    std::int64_t chunks = 0, reductions = 0;
    for (std::size_t i = 0; i < count; ++i) {
      for_dtype(group[i].x.dtype, [&]<typename T>() { plans[i] = make_plan<T>(group[i]); });
      chunks += plans[i].chunks;
      reductions += reduce_units(plans[i]);
    }
    pool.parallel_for(chunks, [&](std::int64_t chunk, int worker) {
      const Plan* plan = plans;
      while (chunk >= plan->chunks) chunk -= plan++->chunks;
      for_dtype(plan->args->x.dtype,
                [&]<typename T>() { run_chunk<T>(*plan, chunk, pool.scratch(worker)); });
    });
    pool.parallel_for(reductions, [&](std::int64_t unit, int) {
      const Plan* plan = plans;
      while (unit >= reduce_units(*plan)) unit -= reduce_units(*plan++);
      for_dtype(plan->args->x.dtype, [&]<typename T>() { reduce<T>(*plan, unit); });
    });
    group = group.subspan(count);
  }
}

}  // namespace msd::cpu::MSD_ISA
