// SPDX-License-Identifier: MIT
// conv_backward_weight: dw[co][tap][ci] = sum over rows of x[pixel(row, tap)][ci] * dy[row][co],
//   dbias = sum of dy, on the tensor cores: M = groups of 8 input channels of one tap, N = output
//   channels in eights, K = rows.
// Layout: x and dy NHWC rows with a pitch, slices at any element, copied as in conv_forward; dw
//   [cout][taps][cin]. Both factors lie in shared memory as they do in global memory, a row of K
//   after the other; bf16 fragments come transposed by ldmatrix, floats one by one.
// Accumulation: float; a split's rows in order (or each of 4 warps every fourth step, then the
//   warps), splits in 1, 2 or 8 interleaved runs, then those. Factors: as conv_forward.
// Deterministic: rows are split by the shape alone (workspace_cuts.h).
// Launch: two. Sums of a split: blocks of 128 threads, a tile of 80 or 64 columns x 8, 16 or 32
//   output channels whose K the warps share, or of 128 x 64 of which each warp has a fourth of the
//   columns; one launch for up to 8 problems whose tiles are alike; tiles vary faster than splits,
//   so that a split's x and dy are in L2. Sum over splits: blocks of 256 threads.
// Bytes: x once a tile of output channels and tap (L2), dy once a tile of columns, up to 16 MiB of
//   partial sums. FLOPs: 2*rows*cout*taps*cin, thrice as many tensor-core ones for f32, and
//   padding to eights and a pair of groups. Never ran on a GPU yet.
#include <cstdint>
#include <utility>

#include "kernels/contracts/workspace_cuts.h"
#include "kernels/cuda/convolution/tensor_core.cuh"
#include "kernels/cuda/convolution/weight_gradient_slices.cuh"
#include "kernels/cuda/device/group.cuh"
#include "kernels/cuda/device/ops.h"
#include "kernels/libraries/by_algorithm.h"

namespace msd::cuda {
namespace {

constexpr const char* kOp = "conv_backward_weight";

/// One warp's sums over its groups and its part of K.
template <MathMode kMode, typename Tile>
class WarpSums {
 public:
  /// Adds the products of a slice.
  MSD_DEVICE void add(const Chunk* x_rows, const Chunk* dy_rows, int groups) {
    for (int step = deep(); step < Tile::kSteps; step += Tile::kDeep) {
      const Chunk* x_step = x_rows + step * Tile::kStepRows * Tile::kColumnPitch;
      const Chunk* dy_step = dy_rows + step * Tile::kStepRows * Tile::kOutPitch;
      std::uint32_t b[Tile::kOutTiles][2];
      load_outs(b, dy_step);
      MSD_UNROLL for (int pair = 0; pair < Tile::kPairs; ++pair) {
        if (first_group(pair) >= groups) break;
        std::uint32_t a[4];
        load_groups(a, x_step, first_group(pair));
        MSD_UNROLL for (int n = 0; n < Tile::kOutTiles; ++n) {
          multiply<kMode>(sums_[pair][n], a, b[n]);
        }
      }
    }
  }

  /// Adds up the sums of warps that shared K; valid where has_totals(). All threads call it.
  /// scratch: kScratch floats that nobody reads any more after a barrier.
  MSD_DEVICE void add_warps(float* scratch) {
    for (int from = 1; from < Tile::kDeep; ++from) {
      block_sync();
      if (deep() == from) for_each_sum([&](float& sum, int i) { scratch[i] = sum; });
      block_sync();
      if (deep() == 0) for_each_sum([&](float& sum, int i) { sum += scratch[i]; });
    }
  }
  MSD_DEVICE static bool has_totals() { return deep() == 0; }

  /// Calls store(group, channel in it, output channel, sum) for each of this lane's sums, counted
  /// from the tile's first, of groups before `groups`.
  template <typename Store>
  MSD_DEVICE void for_each(int groups, Store store) const {
    const int lane = lane_index();
    MSD_UNROLL for (int pair = 0; pair < Tile::kPairs; ++pair) {
      MSD_UNROLL for (int half = 0; half < 2; ++half) {
        const int group = first_group(pair) + half;
        if (group >= groups) break;
        MSD_UNROLL for (int n = 0; n < Tile::kOutTiles; ++n) {
          MSD_UNROLL for (int i = 0; i < 2; ++i) {
            store(group, lane / 4, n * kGroup + lane % 4 * 2 + i, sums_[pair][n][half * 2 + i]);
          }
        }
      }
    }
  }

  static constexpr int kScratch = Tile::kPairs * Tile::kOutTiles * 4 * kWarpSize;

 private:
  MSD_DEVICE static int warp() { return static_cast<int>(threadIdx.x) / kWarpSize; }
  MSD_DEVICE static int deep() { return warp() / Tile::kAcross; }
  MSD_DEVICE static int first_group(int pair) {
    return 2 * (pair * Tile::kAcross + warp() % Tile::kAcross);
  }

  MSD_DEVICE static void load_groups(std::uint32_t (&a)[4], const Chunk* rows, int group) {
    const int lane = lane_index();
    if constexpr (kMode == MathMode::bf16) {  // [rows 0-7, 8-15][group, the next]
      const int row = lane / 16 * 8 + lane % 8;
      load_matrix_x4_transposed(a, rows + row * Tile::kColumnPitch + group + lane / 8 % 2);
    } else {
      constexpr int kPitch = Tile::kColumnPitch * kChunkBytes / 4;
      const auto* floats = reinterpret_cast<const std::uint32_t*>(rows) + group * kGroup + lane / 4;
      MSD_UNROLL for (int i = 0; i < 4; ++i) {
        a[i] = floats[(lane % 4 + i / 2 * 4) * kPitch + i % 2 * kGroup];
      }
    }
  }
  MSD_DEVICE static void load_outs(std::uint32_t (&b)[Tile::kOutTiles][2], const Chunk* rows) {
    const int lane = lane_index();
    if constexpr (kMode == MathMode::bf16) {
      MSD_UNROLL for (int n = 0; n < Tile::kOutTiles; n += 2) {
        // [tile n, the next][rows 0-7, 8-15]; one tile is loaded twice
        const int tile = Tile::kOutTiles == 1 ? 0 : n + lane / 16;
        std::uint32_t two[4];
        load_matrix_x4_transposed(two, rows + lane % 16 * Tile::kOutPitch + tile);
        b[n][0] = two[0], b[n][1] = two[1];
        if constexpr (Tile::kOutTiles > 1) b[n + 1][0] = two[2], b[n + 1][1] = two[3];
      }
    } else {
      constexpr int kPitch = Tile::kOutPitch * kChunkBytes / 4;
      const auto* floats = reinterpret_cast<const std::uint32_t*>(rows) + lane / 4;
      MSD_UNROLL for (int n = 0; n < Tile::kOutTiles; ++n) {
        MSD_UNROLL for (int i = 0; i < 2; ++i) {
          b[n][i] = floats[(lane % 4 + i * 4) * kPitch + n * kGroup];
        }
      }
    }
  }

  template <typename Visit>
  MSD_DEVICE void for_each_sum(Visit visit) {
    MSD_UNROLL for (int pair = 0; pair < Tile::kPairs; ++pair) {
      MSD_UNROLL for (int n = 0; n < Tile::kOutTiles; ++n) {
        MSD_UNROLL for (int i = 0; i < 4; ++i) {
          visit(sums_[pair][n][i],
                ((pair * Tile::kOutTiles + n) * 4 + i) * kWarpSize + lane_index());
        }
      }
    }
  }

  float sums_[Tile::kPairs][Tile::kOutTiles][4] = {};
};

template <MathMode kMode, typename Tile, typename T>
__global__ void __launch_bounds__(Tile::kThreads, 3)
    weight_gradient_kernel(const __grid_constant__ ProblemTable<WeightGradient<T>> table) {
  constexpr int kXStage = Tile::kSliceRows * Tile::kColumnPitch;
  constexpr int kDyStage = Tile::kSliceRows * Tile::kOutPitch;
  // Behind the last row there is no gap.
  constexpr int kXGap = Tile::kColumnPitch - Tile::kGroups * Tile::kGroupChunks;
  constexpr int kDyGap = Tile::kOutPitch - Tile::kOutTiles * Tile::kGroupChunks;
  MSD_SHARED(Chunk, x_rows, Tile::kStages * kXStage - kXGap);
  MSD_SHARED(Chunk, dy_rows, Tile::kStages * kDyStage - kDyGap);
  MSD_SHARED(Column, columns, Tile::kGroups);
  const BlockTask block = block_task(table);
  const WeightGradient<T>& p = table.problems[block.problem];
  const TileTask<Tile> task(p, block.index);
  const auto thread = static_cast<int>(threadIdx.x);
  if (thread < Tile::kGroups) {
    const Group group(p, task.first_group + thread);
    const int y = group.tap / p.kernel, x = group.tap % p.kernel;
    const int channels = thread < task.groups ? p.cin - group.channel : 0;
    columns[thread] = {(std::int64_t{y} * p.w + x) * p.x_pitch + group.channel,
                       static_cast<std::int16_t>(y), static_cast<std::int16_t>(x),
                       channels < kGroup ? channels : kGroup};
  }
  block_sync();

  SliceLoader<T, Tile> loader(p, task, columns);
  WarpSums<kMode, Tile> sums;
  const bool sums_bias = p.with_bias && task.first_group == 0 && thread < Tile::kOuts;
  float bias = 0.0f;
  for_each_slice<Tile::kStages>(
      (task.rows + Tile::kSliceRows - 1) / Tile::kSliceRows,
      [&](int stage) { loader.load(x_rows + stage * kXStage, dy_rows + stage * kDyStage); },
      [&](int stage) {
        const Chunk* dy = dy_rows + stage * kDyStage;
        sums.add(x_rows + stage * kXStage, dy, task.groups);
        if (!sums_bias) return;
        for (int row = 0; row < Tile::kSliceRows; ++row) {
          bias += widen(reinterpret_cast<const T*>(dy + row * Tile::kOutPitch)[thread]);
        }
      });
  static_assert(WarpSums<kMode, Tile>::kScratch * sizeof(float) <= kXStage * sizeof(Chunk));
  sums.add_warps(reinterpret_cast<float*>(x_rows));

  float* partial = p.partials + std::int64_t{task.split} * p.partial_elems;
  const int taps = p.kernel * p.kernel;
  if (sums_bias && task.first_out + thread < p.cout) {
    partial[std::int64_t{p.cout} * taps * p.cin + task.first_out + thread] = bias;
  }
  if (!sums.has_totals()) return;
  sums.for_each(task.groups, [&](int tile_group, int in_group, int tile_out, float sum) {
    const Group group(p, task.first_group + tile_group);
    const int channel = group.channel + in_group, out = task.first_out + tile_out;
    if (channel >= p.cin || out >= p.cout) return;
    partial[(std::int64_t{out} * taps + group.tap) * p.cin + channel] = sum;
  });
}

/// The splits of one problem, to be added up.
struct SplitSum {
  const float* partials;
  float *dw, *dbias;  // dbias may be null
  std::int64_t weights, partial_elems;
  int splits, slots, cout;  // slots: runs of splits that threads share

  __host__ __device__ std::int64_t elems() const { return weights + (dbias == nullptr ? 0 : cout); }
};

constexpr int kSumThreads = 256, kSumSlots = 8;

__global__ void __launch_bounds__(kSumThreads)
    split_sum_kernel(const __grid_constant__ ProblemTable<SplitSum> table) {
  MSD_SHARED(float, of_slot, kSumThreads);
  const BlockTask task = block_task(table);
  const SplitSum& p = table.problems[task.problem];
  const auto thread = static_cast<int>(threadIdx.x);
  const int elems = kSumThreads / p.slots, slot = thread / elems, column = thread % elems;
  const std::int64_t at = std::int64_t{task.index} * elems + column;
  const bool live = at < p.elems();
  float sum = 0.0f;
  for (int split = slot; live && split < p.splits; split += p.slots) {
    sum += p.partials[split * p.partial_elems + at];
  }
  of_slot[thread] = sum;
  block_sync();
  if (slot != 0 || !live) return;
  for (int other = 1; other < p.slots; ++other) sum += of_slot[other * elems + column];
  if (at < p.weights) {
    p.dw[at] = sum;
  } else {
    p.dbias[at - p.weights] = sum;
  }
}

template <typename T>
WeightGradient<T> problem_of(const ConvBackwardWeightArgs& args, void*) {
  const ConvGeometry& g = args.geometry;
  const WeightGradientCut cut = weight_gradient_cut(g, args.dy.rows());
  const std::int64_t out_hw = args.dy.h * args.dy.w;
  narrowed(kOp, cut.split_rows + out_hw);  // a row counted from its split's first image
  return {.x = args.x.as<T>(),
          .dy = args.dy.as<T>(),
          .partials = static_cast<float*>(args.workspace),
          .x_pitch = args.x.pitch,
          .dy_pitch = args.dy.pitch,
          .rows = args.dy.rows(),
          .partial_elems = cut.partial_elems,
          .splits = narrowed(kOp, cut.splits),
          .split_rows = narrowed(kOp, cut.split_rows),
          .h = narrowed(kOp, args.x.h),
          .w = narrowed(kOp, args.x.w),
          .out_w = narrowed(kOp, args.dy.w),
          .out_hw = narrowed(kOp, out_hw),
          .cin = narrowed(kOp, g.cin),
          .cout = narrowed(kOp, g.cout),
          .kernel = narrowed(kOp, g.kernel),
          .stride = narrowed(kOp, g.stride),
          .padding = narrowed(kOp, g.padding),
          .tile = cut.tile,
          .groups = narrowed(kOp, cut.groups),
          .tap_groups = narrowed(kOp, ceil_div(g.cin, kGroupChannels)),
          .tile_groups = narrowed(kOp, cut.tile_groups),
          .group_tiles = narrowed(kOp, cut.group_tiles),
          .out_tiles = narrowed(kOp, cut.out_tiles),
          .x_copy_bytes = copy_bytes_of(args.x),
          .dy_copy_bytes = copy_bytes_of(args.dy),
          .with_bias = args.dbias != nullptr};
}

/// The problems of one tile in one launch.
template <MathMode kMode, int kIndex, typename T>
void run(const Context& context, std::span<const WeightGradient<T>> problems) {
  using Tile = GradientTile<kIndex, T>;
  in_batches<WeightGradient<T>>(
      context, problems, [](const WeightGradient<T>& p) { return p.tile == kIndex; },
      [](const WeightGradient<T>& p, void*) { return p; },
      [&](std::span<const WeightGradient<T>> alike) {
        launch_over(context, weight_gradient_kernel<kMode, Tile, T>, alike, Tile::kThreads,
                    [](const WeightGradient<T>& p) { return p.blocks(); });
      });
}

template <MathMode kMode, typename T, int... kIndex>
void run_tiles(const Context& context, std::span<const WeightGradient<T>> problems,
               std::integer_sequence<int, kIndex...>) {
  (run<kMode, kIndex>(context, problems), ...);
}

void handwritten(Context& context, std::span<const ConvBackwardWeightArgs> group) {
  by_dtype(
      kOp, TensorCoreTypes{}, context, group, &ConvBackwardWeightArgs::x,
      [&]<typename T>(const auto&... of) { return problem_of<T>(of...); },
      [&]<typename T>(std::span<const WeightGradient<T>> problems) {
        with_math_mode<T>(context, [&]<MathMode kMode>() {
          run_tiles<kMode>(context, problems,
                           std::make_integer_sequence<int, kWeightGradientTiles>{});
        });
      });
  in_batches<SplitSum>(
      context, group, [](const ConvBackwardWeightArgs&) { return true; },
      [](const ConvBackwardWeightArgs& args, void*) {
        const ConvGeometry& g = args.geometry;
        const WeightGradientCut cut = weight_gradient_cut(g, args.dy.rows());
        const int slots = cut.splits >= kSumSlots ? kSumSlots : cut.splits > 1 ? 2 : 1;
        return SplitSum{static_cast<const float*>(args.workspace),
                        static_cast<float*>(args.dw),
                        static_cast<float*>(args.dbias),
                        g.weight_elems(),
                        cut.partial_elems,
                        narrowed(kOp, cut.splits),
                        slots,
                        narrowed(kOp, g.cout)};
      },
      [&](std::span<const SplitSum> problems) {
        launch_over(context, split_sum_kernel, problems, kSumThreads,
                    [](const SplitSum& p) { return ceil_div(p.elems(), kSumThreads / p.slots); });
      });
}

}  // namespace

void conv_backward_weight(Context& context, std::span<const ConvBackwardWeightArgs> group) {
  by_algorithm(context, group, handwritten);
}

}  // namespace msd::cuda
