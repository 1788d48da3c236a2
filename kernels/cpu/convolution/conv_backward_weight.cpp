// SPDX-License-Identifier: MIT
#include "kernels/contracts/workspace_cuts.h"
#include "kernels/cpu/convolution/conv_gradient_tile.h"
#include "kernels/cpu/convolution/conv_limits.h"
#include "kernels/cpu/convolution/conv_source.h"

namespace msd::cpu::MSD_ISA {
namespace {

// A block of pixels is swept by every tile. It should stay in the second-level cache and yet be
// long enough that reading and writing the sums around each sweep cost little.
constexpr std::int64_t kBlockBytes = 96 << 10;
constexpr std::int64_t kMaxBlockBytes = 768 << 10;
constexpr std::int64_t kBlockPixels = 128;      // as many as kMaxBlockBytes allow
constexpr std::int64_t kMaxBlockPixels = 1024;  // as many as kBlockBytes allow
constexpr std::int64_t kGradientStreamBytes = 1 << 20;
constexpr std::size_t kMostGradientCuts = 32;

/// dw is a number of runs of values that lie side by side in x: the channels of one tap where x is
/// read in place, all taps of one kernel row where x is copied with a border (more lanes work where
/// there are few channels).
struct GradientCut {
  const ConvBackwardWeightArgs* args;
  bool in_place;
  bool vector_is_x;        // a run is the vector and dy is broadcast, or the other way round
  std::int64_t runs, run;  // how many, values in each
  std::int64_t pitch;      // partial sums: [runs][cout][run] or [runs][run][cout], last rounded up
  std::int64_t block_images, block_rows, blocks_per_image;  // pixels summed at once
  std::int64_t blocks, chunks;
  std::int64_t partial_elems;
  bool streams;  // the operands come from beyond the second-level cache
};

/// Output indices [first, last) of an axis whose input index i*stride + tap - padding exists.
struct Valid {
  std::int64_t first, last;
  std::int64_t count() const { return last > first ? last - first : 0; }
};
Valid valid_outputs(const ConvGeometry& g, std::int64_t tap, std::int64_t in_size,
                    std::int64_t out_size) {
  const std::int64_t first = larger(ceil_div(g.padding - tap, g.stride), 0);
  const std::int64_t end = in_size + g.padding - tap;  // i*stride must be below
  return {g.padding > tap ? first : 0, end > 0 ? smaller(ceil_div(end, g.stride), out_size) : 0};
}

template <typename T>
GradientCut cut_gradient(const ConvBackwardWeightArgs& args) {
  constexpr std::int64_t kBytes = sizeof(T), kLane = kLanes<T>;
  const ConvGeometry& g = args.geometry;
  const ConstView& dy = args.dy;
  GradientCut cut{};
  cut.args = &args;
  cut.chunks = weight_gradient_chunks(g, args.x.n, args.x.h, args.x.w);
  cut.partial_elems = weight_gradient_partial_elems(g);

  // Multiplications, idle lanes included, of an image.
  const auto cost = [&](std::int64_t run, bool vector_is_x, std::int64_t pixels) {
    return pixels * (vector_is_x ? round_up(run, kLane) * g.cout : run * round_up(g.cout, kLane));
  };
  std::int64_t rows = 0, columns = 0;
  for (std::int64_t tap = 0; tap < g.kernel; ++tap) {
    rows += valid_outputs(g, tap, args.x.h, dy.h).count();
    columns += valid_outputs(g, tap, args.x.w, dy.w).count();
  }
  const auto best = [&](std::int64_t run, std::int64_t pixels) {
    return smaller(cost(run, true, pixels), cost(run, false, pixels));
  };
  const std::int64_t in_place = best(g.cin, rows * columns);
  const std::int64_t copied = best(g.kernel * g.cin, g.kernel * dy.h * dy.w);
  cut.in_place = in_place <= copied;
  cut.runs = cut.in_place ? g.kernel * g.kernel : g.kernel;
  cut.run = cut.in_place ? g.cin : g.kernel * g.cin;
  cut.vector_is_x = cost(cut.run, true, 1) <= cost(cut.run, false, 1);
  cut.pitch = round_up(cut.vector_is_x ? cut.run : g.cout, kLane);

  const std::int64_t width = (dy.w - 1) * g.stride + g.kernel;
  const auto bytes = [&](std::int64_t y_rows) {
    const std::int64_t x_rows = (y_rows - 1) * g.stride + g.kernel;
    return (x_rows * width * g.cin + kScratchSlack<T>)*kBytes;
  };
  if (!cut.in_place && bytes(1) > ThreadPool::kScratchBytes) {
    throw_scratch_too_small("conv_backward_weight", args.x, g, bytes(1));
  }
  const auto good = [&](std::int64_t pixels, std::int64_t block_bytes) {
    return pixels <= kBlockPixels ? block_bytes <= kMaxBlockBytes
                                  : pixels <= kMaxBlockPixels && block_bytes <= kBlockBytes;
  };
  cut.block_rows = 1;
  while (cut.block_rows < dy.h && good((cut.block_rows + 1) * dy.w, bytes(cut.block_rows + 1))) {
    ++cut.block_rows;
  }
  cut.blocks_per_image = ceil_div(dy.h, cut.block_rows);
  cut.block_rows = ceil_div(dy.h, cut.blocks_per_image);
  cut.blocks_per_image = ceil_div(dy.h, cut.block_rows);
  cut.block_images = 1;
  if (cut.blocks_per_image == 1) {
    const std::int64_t most = larger(1, dy.n / cut.chunks);
    while (cut.block_images < most &&
           good((cut.block_images + 1) * dy.h * dy.w, (cut.block_images + 1) * bytes(dy.h))) {
      ++cut.block_images;
    }
  }
  cut.blocks = ceil_div(dy.n, cut.block_images) * cut.blocks_per_image;
  cut.streams =
      (args.x.rows() * args.x.pitch + dy.rows() * dy.pitch) * kBytes > kGradientStreamBytes;
  return cut;
}

/// Images and rows of dy.
struct Block {
  std::int64_t image, images, row, rows;
};

Block block_of(const GradientCut& cut, std::int64_t index) {
  Block block;
  block.image = index / cut.blocks_per_image * cut.block_images;
  block.images = smaller(cut.block_images, cut.args->dy.n - block.image);
  block.row = index % cut.blocks_per_image * cut.block_rows;
  block.rows = smaller(cut.block_rows, cut.args->dy.h - block.row);
  return block;
}

/// Fetches the rows [first, last) of a block's images of `view` in `calls` calls.
template <typename T>
FetchAhead fetch_ahead(const ConstView& view, const Block& block, std::int64_t first,
                       std::int64_t last, std::int64_t calls) {
  first = block.image * view.h + larger(first, 0);
  last = (block.image + block.images - 1) * view.h + smaller(last, view.h);
  return FetchAhead(view.as<T>() + first * view.w * view.pitch, (last - first) * view.w, view.c,
                    view.pitch, calls);
}

/// Where the pixels are that one run is summed over.
template <typename T>
struct RunPixels {
  const T* x;
  const T* dy;
  std::int64_t rows, columns;
};

template <typename T>
RunPixels<T> pixels_of(const GradientCut& cut, const Block& block, std::int64_t run,
                       const Source<T>& x) {
  const ConvGeometry& g = cut.args->geometry;
  const ConstView& dy = cut.args->dy;
  const T* dy_image = dy.as<T>() + block.image * dy.h * dy.w * dy.pitch;
  if (!cut.in_place) {
    return {x.data + run * x.row_stride, dy_image + block.row * dy.w * dy.pitch, block.rows, dy.w};
  }
  const std::int64_t kh = run / g.kernel, kw = run % g.kernel;
  Valid rows = valid_outputs(g, kh, cut.args->x.h, dy.h);
  rows = {larger(rows.first, block.row), smaller(rows.last, block.row + block.rows)};
  const Valid columns = valid_outputs(g, kw, cut.args->x.w, dy.w);
  if (rows.count() * columns.count() == 0) return {x.data, dy_image, 0, 0};
  return {x.data + (rows.first * g.stride + kh - g.padding) * x.row_stride +
              (columns.first * g.stride + kw - g.padding) * x.pixel_stride,
          dy_image + (rows.first * dy.w + columns.first) * dy.pitch, rows.count(), columns.count()};
}

/// Sums one block of pixels, or adds it to the partial sums. `next`: the block after it, or null.
template <typename T>
void sum_block(const GradientCut& cut, const Block& block, const Block* next, bool add, T* partial,
               T* scratch) {
  const ConvBackwardWeightArgs& args = *cut.args;
  const ConvGeometry& g = args.geometry;
  const ConstView& dy = args.dy;
  Source<T> x;
  if (cut.in_place) {
    const std::int64_t pitch = args.x.pitch, row = args.x.w * pitch, image = args.x.h * row;
    x = {args.x.as<T>() + block.image * image, image, row, pitch};
  } else {
    x = copy_window(
        scratch, args.x,
        {block.image, block.images, block.row * g.stride - g.padding,
         (block.rows - 1) * g.stride + g.kernel, -g.padding, (dy.w - 1) * g.stride + g.kernel});
  }

  GradientTileArgs<T> tile;
  const std::int64_t x_strides[] = {g.stride * x.pixel_stride, g.stride * x.row_stride,
                                    x.image_stride};
  const std::int64_t dy_strides[] = {dy.pitch, dy.w * dy.pitch, dy.h * dy.w * dy.pitch};
  const std::int64_t* vs = cut.vector_is_x ? x_strides : dy_strides;
  const std::int64_t* ss = cut.vector_is_x ? dy_strides : x_strides;
  tile.vector_pixel = vs[0], tile.vector_row = vs[1], tile.vector_image = vs[2];
  tile.scalar_pixel = ss[0], tile.scalar_row = ss[1], tile.scalar_image = ss[2];
  tile.pitch = cut.pitch;
  tile.add = add;
  const std::int64_t vector_elems = cut.vector_is_x ? cut.run : g.cout;
  const std::int64_t scalar_elems = cut.vector_is_x ? g.cout : cut.run;
  const ChannelBlocks vectors = ChannelBlocks::of<T>(vector_elems);
  FetchAhead ahead[2];
  tile.ahead = ahead;
  if (cut.streams && next != nullptr) {
    const std::int64_t tiles =
        cut.runs * vectors.blocks * ceil_div(scalar_elems, tile_pixels(vectors.block_vectors(0)));
    const std::int64_t steps =
        tiles * larger(block.images * block.rows * dy.w / kFetchPixels,
                       cut.in_place && g.kernel == 1 ? 1 : block.images * block.rows);
    const std::int64_t first = next->row * g.stride - g.padding;
    ahead[0] =
        fetch_ahead<T>(args.x, *next, first, first + (next->rows - 1) * g.stride + g.kernel, steps);
    ahead[1] = fetch_ahead<T>(dy, *next, next->row, next->row + next->rows, steps);
  }
  for (std::int64_t run = 0; run < cut.runs; ++run) {
    const RunPixels<T> pixels = pixels_of(cut, block, run, x);
    const T* vector_data = cut.vector_is_x ? pixels.x : pixels.dy;
    const T* scalar_data = cut.vector_is_x ? pixels.dy : pixels.x;
    tile.images = block.images;
    tile.rows = pixels.rows;
    tile.columns = pixels.columns;
    if (tile.images == 1 || (tile.vector_image == tile.rows * tile.vector_row &&
                             tile.scalar_image == tile.rows * tile.scalar_row)) {
      tile.rows *= tile.images;
      tile.images = 1;
    }
    if (tile.vector_row == tile.columns * tile.vector_pixel &&
        tile.scalar_row == tile.columns * tile.scalar_pixel) {
      tile.columns *= tile.rows;
      tile.rows = 1;
    }
    for (std::int64_t b = 0; b < vectors.blocks; ++b) {
      const int width = vectors.block_vectors(b);
      const std::int64_t first = vectors.first_channel(b);
      tile.tail = vectors.tail(b);
      tile.vectors = vector_data + first;
      const bool partial_load = tile.tail < vectors.lanes;
      const std::int64_t parts = ceil_div(scalar_elems, tile_pixels(width));
      for (std::int64_t part = 0; part < parts; ++part) {
        const std::int64_t from = part * scalar_elems / parts;
        const std::int64_t to = (part + 1) * scalar_elems / parts;
        tile.scalars = scalar_data + from;
        tile.sums = partial + (run * scalar_elems + from) * cut.pitch + first;
        const int count = static_cast<int>(to - from);
        (partial_load ? find_gradient_tile<T, true>(count, width)
                      : find_gradient_tile<T, false>(count, width))(tile);
      }
    }
  }
  if (args.dbias != nullptr) {
    T* sums = partial + cut.partial_elems - round_up(g.cout, 16);
    for (std::int64_t c = 0; c < g.cout && !add; ++c) sums[c] = T{};
    for (std::int64_t i = 0; i < block.images; ++i) {
      const T* from = dy.as<T>() + ((block.image + i) * dy.h + block.row) * dy.w * dy.pitch;
      for (std::int64_t p = 0; p < block.rows * dy.w; ++p, from += dy.pitch) {
        for (std::int64_t c = 0; c < g.cout; ++c) sums[c] += from[c];
      }
    }
  }
}

template <typename T>
void run_chunk(const GradientCut& cut, std::int64_t chunk, std::byte* scratch) {
  T* partial = static_cast<T*>(cut.args->workspace) + chunk * cut.partial_elems;
  const std::int64_t first = chunk * cut.blocks / cut.chunks;
  const std::int64_t last = (chunk + 1) * cut.blocks / cut.chunks;
  if (first == last) {
    for (std::int64_t i = 0; i < cut.partial_elems; ++i) partial[i] = T{};
  }
  for (std::int64_t i = first; i < last; ++i) {
    const Block block = block_of(cut, i), next = block_of(cut, i + 1);
    sum_block<T>(cut, block, i + 1 < last ? &next : nullptr, i > first, partial,
                 reinterpret_cast<T*>(scratch));
  }
}

constexpr std::int64_t kReduceRun = 32;  // elements of a run that one unit of work reduces

std::int64_t reduce_units(const GradientCut& cut) {
  return cut.runs * ceil_div(cut.run, kReduceRun);
}

/// Sum of `count` (at most lanes) neighbouring elements over the chunks, in order.
template <typename T>
MSD_INLINE Vec<T> sum_chunks(const GradientCut& cut, const T* from, int count) {
  Vec<T> sum = load_head(from, count);
  for (std::int64_t chunk = 1; chunk < cut.chunks; ++chunk) {
    sum += load_head(from + chunk * cut.partial_elems, count);
  }
  return sum;
}

/// Adds the chunks' sums and writes a part of a run of dw; unit 0 writes
/// dbias.
template <typename T>
void reduce(const GradientCut& cut, std::int64_t unit) {
  constexpr std::int64_t kLane = kLanes<T>;
  const ConvBackwardWeightArgs& args = *cut.args;
  const ConvGeometry& g = args.geometry;
  const T* partials = static_cast<const T*>(args.workspace);
  const std::int64_t parts = ceil_div(cut.run, kReduceRun);
  const std::int64_t run = unit / parts, first = unit % parts * kReduceRun;
  const std::int64_t count = smaller(kReduceRun, cut.run - first);
  const auto head = [](std::int64_t n) { return static_cast<int>(smaller(n, kLane)); };
  T* dw = static_cast<T*>(args.dw) + run * cut.run + first;  // of output channel 0
  const std::int64_t dw_pitch = cut.runs * cut.run;
  if (cut.vector_is_x) {
    for (std::int64_t co = 0; co < g.cout; ++co) {
      const T* from = partials + (run * g.cout + co) * cut.pitch + first;
      for (std::int64_t i = 0; i < count; i += kLane) {
        const int n = head(count - i);
        store_head(dw + co * dw_pitch + i, sum_chunks(cut, from + i, n), n);
      }
    }
  } else {
    alignas(64) T sums[kReduceRun][kLane];
    for (std::int64_t co = 0; co < g.cout; co += kLane) {
      const int n = head(g.cout - co);
      for (std::int64_t i = 0; i < count; ++i) {
        store(sums[i], sum_chunks(cut, partials + (run * cut.run + first + i) * cut.pitch + co, n));
      }
      for (int c = 0; c < n; ++c) {
        T* to = dw + (co + c) * dw_pitch;
        for (std::int64_t i = 0; i < count; ++i) to[i] = sums[i][c];
      }
    }
  }
  if (unit == 0 && args.dbias != nullptr) {
    const T* from = partials + cut.partial_elems - round_up(g.cout, 16);
    for (std::int64_t co = 0; co < g.cout; co += kLane) {
      const int n = head(g.cout - co);
      store_head(static_cast<T*>(args.dbias) + co, sum_chunks(cut, from + co, n), n);
    }
  }
}

}  // namespace

void conv_backward_weight(ThreadPool& pool, std::span<const ConvBackwardWeightArgs> group) {
  for (const ConvBackwardWeightArgs& args : group) {
    require_cpu_dtype("conv_backward_weight", args.x.dtype);
  }
  while (!group.empty()) {
    const std::size_t count = group.size() < kMostGradientCuts ? group.size() : kMostGradientCuts;
    GradientCut cuts[kMostGradientCuts];
    std::int64_t chunks = 0, reductions = 0;
    for (std::size_t i = 0; i < count; ++i) {
      for_dtype(group[i].x.dtype, [&]<typename T>() { cuts[i] = cut_gradient<T>(group[i]); });
      chunks += cuts[i].chunks;
      reductions += reduce_units(cuts[i]);
    }
    pool.parallel_for(chunks, [&](std::int64_t chunk, int worker) {
      const GradientCut* cut = cuts;
      while (chunk >= cut->chunks) chunk -= cut++->chunks;
      for_dtype(cut->args->x.dtype,
                [&]<typename T>() { run_chunk<T>(*cut, chunk, pool.scratch(worker)); });
    });
    pool.parallel_for(reductions, [&](std::int64_t unit, int) {
      const GradientCut* cut = cuts;
      while (unit >= reduce_units(*cut)) unit -= reduce_units(*cut++);
      for_dtype(cut->args->x.dtype, [&]<typename T>() { reduce<T>(*cut, unit); });
    });
    group = group.subspan(count);
  }
}

}  // namespace msd::cpu::MSD_ISA
