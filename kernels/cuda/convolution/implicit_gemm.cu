// SPDX-License-Identifier: MIT
// The kernel of conv_forward and conv_backward_data (implicit_gemm.cuh): target rows (M) x output
//   channels (N), summed over taps and input channels (K). The gathered matrix exists only as tiles
//   in shared memory.
// A block of 4 warps makes a tile of kRows target rows of one phase by kChannels output channels. K
//   goes by in slices of 64 bytes a row (16 floats, 32 bf16) of one tap, kStages of them in flight;
//   pixels outside the image, channels past the last and rows past the last count as zeros.
//   Everything up to the multiplication is the same bytes for float and bf16: ldmatrix takes
//   16-byte rows of both.
// Rows of the source (implicit_gemm_slices.cuh): where it is as large as the target (stride 1), the
//   tile's pixels and those that the taps reach beside them come once for all taps, a halo; else
//   they are gathered again for each tap. A 3x3 kernel so reads the tile's bytes 1.1 to 2.8 times
//   (8 to 56 wide) instead of 9 times, from L2: copies of 16 bytes pass L1 by.
// Accumulation: float, K in one order (taps of a slice of channels one after another with a halo,
//   slices of a tap without), whatever n and the place in the batch.
// Statistics, where wanted (workspace_cuts.h): each warp's moments of its 32 or 16 rows, as they
//   are stored, by shuffles; the four warps' put together in their order. A function of the tile
//   alone.
// Launch: blocks of 128 threads; channels vary fastest, then phases, then rows: blocks that read
//   the same rows, or write to the same lines, run together and meet in L2.
// Never ran on a GPU yet.
#include "kernels/cuda/convolution/implicit_gemm.cuh"

#include "kernels/contracts/workspace_cuts.h"
#include "kernels/cuda/convolution/implicit_gemm_slices.cuh"
#include "kernels/cuda/convolution/tensor_core.cuh"
#include "kernels/cuda/device/group.cuh"

namespace msd::cuda {
namespace {

/// One warp's sums over the tile.
template <MathMode kMode, typename Tile>
class WarpTile {
 public:
  /// Adds the products of a slice, of which the first `bytes` of each row count. row_of(m): this
  /// lane's row for ldmatrix in its warp's m-th 16 rows.
  template <typename RowOf>
  MSD_DEVICE void add(RowOf row_of, const Chunk* channels, int bytes) {
    const int lane = lane_index();
    const Chunk* rows[Tile::kRowTiles];
    MSD_UNROLL for (int m = 0; m < Tile::kRowTiles; ++m) rows[m] = row_of(m) + lane / 16;
    for (int step = 0; step * kStepBytes < bytes; ++step) {
      std::uint32_t a[Tile::kRowTiles][4];
      MSD_UNROLL for (int m = 0; m < Tile::kRowTiles; ++m) {
        load_matrix_x4(a[m], rows[m] + 2 * step);
      }
      MSD_UNROLL for (int n = 0; n < Tile::kChannelTiles; n += 2) {
        std::uint32_t b[4];  // halves of K of channel tile n, then of the next
        const int row = Tile::kChannelTiles == 1 ? lane % 8 : n * 8 + lane / 16 * 8 + lane % 8;
        load_matrix_x4(b, channels + row * kRowChunks + 2 * step + lane / 8 % 2);
        MSD_UNROLL for (int m = 0; m < Tile::kRowTiles; ++m) {
          multiply<kMode>(sums_[m][n], a[m], {b[0], b[1]});
          if constexpr (Tile::kChannelTiles > 1)
            multiply<kMode>(sums_[m][n + 1], a[m], {b[2], b[3]});
        }
      }
    }
  }

  /// sum = finish(channel, sum) for each of this lane's sums, the channel counted from the tile's
  /// first.
  template <typename Finish>
  MSD_DEVICE void finish(Finish finish) {
    MSD_UNROLL for (int n = 0; n < Tile::kChannelTiles; ++n) {
      MSD_UNROLL for (int i = 0; i < 2; ++i) {
        MSD_UNROLL for (int m = 0; m < Tile::kRowTiles; ++m) {
          MSD_UNROLL for (int half = 0; half < 2; ++half) {
            float& sum = sums_[m][n][half * 2 + i];
            sum = finish(n * 8 + lane_index() % 4 * 2 + i, sum);
          }
        }
      }
    }
  }

  /// For each of this lane's rows, counted from the tile's first: target = target_of(row), and
  /// where that isn't null store(target, channel, sum) for each of its sums.
  template <typename TargetOf, typename Store>
  MSD_DEVICE void for_each(TargetOf target_of, Store store) const {
    const int lane = lane_index();
    MSD_UNROLL for (int m = 0; m < Tile::kRowTiles; ++m) {
      MSD_UNROLL for (int half = 0; half < 2; ++half) {
        auto* target = target_of(first_row() + m * 16 + half * 8 + lane / 4);
        if (target == nullptr) continue;
        MSD_UNROLL for (int n = 0; n < Tile::kChannelTiles; ++n) {
          MSD_UNROLL for (int i = 0; i < 2; ++i) {
            store(target, n * 8 + lane % 4 * 2 + i, sums_[m][n][half * 2 + i]);
          }
        }
      }
    }
  }

  /// Mean, and sum of squared distances from it, of each of the tile's channels over the warp's
  /// first `rows` rows as T holds them. In two passes, and the mean as a distance from the first
  /// row's value: it may be far from 0.
  template <typename T>
  MSD_DEVICE void moments(int rows, float* means, float* squares) const {
    const int lane = lane_index();
    // The sum over this lane's rows, then over the lanes that have this one's channels.
    const auto sum_of = [&](int n, int i, auto term) {
      float sum = 0.0f;
      MSD_UNROLL for (int m = 0; m < Tile::kRowTiles; ++m) {
        MSD_UNROLL for (int half = 0; half < 2; ++half) {
          if (m * 16 + half * 8 + lane / 4 >= rows) continue;
          sum += term(widen(narrow<T>(sums_[m][n][half * 2 + i])));
        }
      }
      for (int distance = 4; distance < kWarpSize; distance *= 2) {
        sum += shuffle_xor(sum, distance);
      }
      return sum;
    };
    MSD_UNROLL for (int n = 0; n < Tile::kChannelTiles; ++n) {
      MSD_UNROLL for (int i = 0; i < 2; ++i) {
        const float first = shuffle(widen(narrow<T>(sums_[0][n][i])), lane % 4);
        const float distance = sum_of(n, i, [&](float value) { return value - first; });
        const float mean = first + distance / static_cast<float>(rows == 0 ? 1 : rows);
        const float square =
            sum_of(n, i, [&](float value) { return (value - mean) * (value - mean); });
        if (lane >= 4 || rows == 0) continue;
        means[n * 8 + lane * 2 + i] = mean;
        squares[n * 8 + lane * 2 + i] = square;
      }
    }
  }

 private:
  MSD_DEVICE static int first_row() {
    return static_cast<int>(threadIdx.x) / kWarpSize * Tile::kWarpRows;
  }
  float sums_[Tile::kRowTiles][Tile::kChannelTiles][4] = {};
};

/// The block's tile of sums over all of K, from rows that come as Rows says.
template <MathMode kMode, typename Tile, typename Rows, typename T, ConvPass kPass>
MSD_DEVICE WarpTile<kMode, Tile> sums_over(Rows rows, const GemmProblem<T, kPass>& p,
                                           const Phase& phase, int first_channel, Chunk* channels) {
  WarpTile<kMode, Tile> sums;
  SlicePosition loading, adding;
  const int slices = phase.y.taps * phase.x.taps * ((p.ins + kSliceElems<T> - 1) / kSliceElems<T>);
  for_each_slice<Tile::kStages>(
      slices,
      [&](int stage) {
        rows.load(loading, stage);
        load_channels<Tile>(p, phase, first_channel, loading,
                            channels + stage * Tile::kChannelsSlice);
        Rows::advance(loading, p, phase);
      },
      [&](int stage) {
        const int left = (p.ins - adding.channel) * static_cast<int>(sizeof(T));
        sums.add([&](int m) { return rows.row(adding, stage, m); },
                 channels + stage * Tile::kChannelsSlice, left < kSliceBytes ? left : kSliceBytes);
        Rows::advance(adding, p, phase);
      });
  return sums;
}

/// The block's tile of sums: of the phase's rows from first_row and channels from first_channel.
template <MathMode kMode, typename Tile, typename T, ConvPass kPass>
MSD_DEVICE WarpTile<kMode, Tile> tile_of_sums(const GemmProblem<T, kPass>& p, const Phase& phase,
                                              std::int64_t first_row, int first_channel) {
  MSD_SHARED(Chunk, source, Tile::kSource);
  MSD_SHARED(Chunk, channels, Tile::kAllChannels);
  MSD_SHARED(Chunk, zeros, kSliceChunks);
  using Halo = HaloRows<T, Tile, kPass>;
  using Gathered = GatheredRows<T, Tile, kPass>;
  if (Halo::fits(p)) {
    return sums_over<kMode, Tile>(Halo(p, phase, first_row, source, zeros), p, phase, first_channel,
                                  channels);
  }
  return sums_over<kMode, Tile>(Gathered(p, phase, first_row, source), p, phase, first_channel,
                                channels);
}

template <typename Tile, typename T, ConvPass kPass>
__host__ __device__ std::int64_t channel_blocks(const GemmProblem<T, kPass>& p) {
  return (p.outs + Tile::kChannels - 1) / Tile::kChannels;
}
/// As many for each phase as the first has, which has most rows.
template <typename Tile, typename T, ConvPass kPass>
std::int64_t blocks(const GemmProblem<T, kPass>& p) {
  const std::int64_t step = p.target_step();
  const std::int64_t rows = p.n * ceil_div(p.target_h, step) * ceil_div(p.target_w, step);
  return ceil_div(rows, Tile::kRows) * step * step * channel_blocks<Tile>(p);
}

/// Leaves the statistics of the tile's `rows` rows, which are part `part` of the target's. The
/// warps' moments are put together in their order, about the first's mean.
template <MathMode kMode, typename Tile, typename T, ConvPass kPass>
MSD_DEVICE void leave_part(const GemmProblem<T, kPass>& p, const WarpTile<kMode, Tile>& sums,
                           int rows, std::int64_t part, int first_channel) {
  constexpr int kWarpRows = Tile::kWarpRows;
  MSD_SHARED(float, means, Tile::kWarps* Tile::kChannels);
  MSD_SHARED(float, squares, Tile::kWarps* Tile::kChannels);
  const auto rows_of = [&](int warp) {
    const int left = rows - warp * kWarpRows;
    return left < 0 ? 0 : left < kWarpRows ? left : kWarpRows;
  };
  const int thread = static_cast<int>(threadIdx.x), warp = thread / kWarpSize;
  sums.template moments<T>(rows_of(warp), means + warp * Tile::kChannels,
                           squares + warp * Tile::kChannels);
  block_sync();
  const int channel = first_channel + thread;
  if (thread >= Tile::kChannels || channel >= p.outs) return;
  float distances[Tile::kWarps], offset = 0.0f, square = 0.0f;
  MSD_UNROLL for (int w = 0; w < Tile::kWarps; ++w) {
    distances[w] = rows_of(w) == 0 ? 0.0f : means[w * Tile::kChannels + thread] - means[thread];
    offset += distances[w] * static_cast<float>(rows_of(w));
  }
  offset /= static_cast<float>(rows);
  MSD_UNROLL for (int w = 0; w < Tile::kWarps; ++w) {
    if (rows_of(w) == 0) continue;
    const float d = distances[w] - offset;
    square += squares[w * Tile::kChannels + thread] + static_cast<float>(rows_of(w)) * d * d;
  }
  float* to = p.statistics + part * 2 * p.outs + channel;
  to[0] = means[thread] + offset;
  to[p.outs] = square;
}

template <MathMode kMode, typename Tile, typename T, ConvPass kPass>
__global__ void __launch_bounds__(Tile::kThreads)
    implicit_gemm_kernel(const __grid_constant__ ProblemTable<GemmProblem<T, kPass>> table) {
  const BlockTask task = block_task(table);
  const GemmProblem<T, kPass>& p = table.problems[task.problem];
  const auto channel_tiles = static_cast<unsigned>(channel_blocks<Tile>(p));
  const auto phases = static_cast<unsigned>(p.target_step() * p.target_step());
  const int first_channel = static_cast<int>(task.index % channel_tiles) * Tile::kChannels;
  const unsigned tile = task.index / channel_tiles;
  const Phase phase(p, static_cast<int>(tile % phases));
  const std::int64_t first_row = std::int64_t{tile / phases} * Tile::kRows;
  if (first_row >= phase.rows) return;
  if (p.accumulate && phase.y.taps * phase.x.taps == 0) return;
  auto sums = tile_of_sums<kMode, Tile>(p, phase, first_row, first_channel);
  if constexpr (kPass == ConvPass::forward) {
    sums.finish([&](int tile_channel, float sum) {
      const int channel = first_channel + tile_channel;
      if (p.bias != nullptr && channel < p.outs) sum += p.bias[channel];
      return p.relu && sum < 0.0f ? 0.0f : sum;
    });
  }
  sums.for_each(
      [&](int tile_row) -> T* {
        const std::int64_t row = first_row + tile_row;
        if (row >= phase.rows) return nullptr;
        if (phases == 1) return p.target + row * p.target_pitch;
        const std::int64_t n = row / phase.image_positions();
        const int position = static_cast<int>(row - n * phase.image_positions());
        const int y = phase.y.first + position / phase.x.positions * p.target_step();
        const int x = phase.x.first + position % phase.x.positions * p.target_step();
        return p.target + ((n * p.target_h + y) * p.target_w + x) * p.target_pitch;
      },
      [&](T* target, int tile_channel, float sum) {
        const int channel = first_channel + tile_channel;
        if (channel >= p.outs) return;
        if (p.accumulate) sum += widen(target[channel]);
        target[channel] = narrow<T>(sum);
      });
  if constexpr (kPass == ConvPass::forward) {
    if (p.statistics == nullptr) return;
    const std::int64_t rows = phase.rows - first_row;
    leave_part(p, sums, static_cast<int>(rows < Tile::kRows ? rows : Tile::kRows),
               first_row / Tile::kRows, first_channel);
  }
}

/// The problems with lowest <= outs <= highest in one launch.
template <MathMode kMode, typename Tile, typename T, ConvPass kPass>
void run(const Context& context, std::span<const GemmProblem<T, kPass>> problems, int lowest,
         int highest) {
  in_batches<GemmProblem<T, kPass>>(
      context, problems,
      [&](const GemmProblem<T, kPass>& p) { return p.outs >= lowest && p.outs <= highest; },
      [](const GemmProblem<T, kPass>& p, void*) { return p; },
      [&](std::span<const GemmProblem<T, kPass>> alike) {
        launch_over(context, implicit_gemm_kernel<kMode, Tile, T, kPass>, alike, Tile::kThreads,
                    blocks<Tile, T, kPass>);
      });
}

template <MathMode kMode, typename T, ConvPass kPass>
void run_all_tiles(const Context& context, std::span<const GemmProblem<T, kPass>> problems) {
  run<kMode, GemmTile<2, 1>>(context, problems, 1, 8);
  run<kMode, GemmTile<2, 2>>(context, problems, 9, 16);
  run<kMode, GemmTile<2, 4>>(context, problems, 17, 32);
  run<kMode, GemmTile<1, 8>>(context, problems, 33, 0x7FFFFFFF);
}

}  // namespace

template <typename T, ConvPass kPass>
void implicit_gemm(const Context& context, std::span<const GemmProblem<T, kPass>> problems) {
  for (const GemmProblem<T, kPass>& p : problems) {
    narrowed("convolution", std::int64_t{p.target_h} * p.target_w);
  }
  with_math_mode<T>(context, [&]<MathMode kMode>() { run_all_tiles<kMode>(context, problems); });
}
template void implicit_gemm(const Context&, std::span<const ForwardGemm>);
template void implicit_gemm(const Context&, std::span<const ForwardGemmBf16>);
template void implicit_gemm(const Context&, std::span<const BackwardGemm>);
template void implicit_gemm(const Context&, std::span<const BackwardGemmBf16>);

}  // namespace msd::cuda
