// SPDX-License-Identifier: MIT
// The kernel of conv_forward and conv_backward_data (implicit_gemm.cuh): target rows (M) x output
//   channels (N), summed over taps and input channels (K). The gathered matrix exists only as tiles
//   in shared memory.
// A block of 4 warps makes a tile of kRows target rows of one phase by kChannels output channels. K
//   goes by in slices of 64 bytes a row (16 floats, 32 bf16) of one tap, kStages of them in flight;
//   pixels outside the image, channels past the last and rows past the last count as zeros.
//   Everything up to the multiplication is the same bytes for float and bf16: ldmatrix takes
//   16-byte rows of both.
// Rows of the source: where it is as large as the target (stride 1), the tile's pixels and those
//   that the taps reach beside them come once for all taps, a halo; else they are gathered again
//   for each tap. A 3x3 kernel so reads the tile's bytes 1.1 to 2.8 times (8 to 56 wide) instead
//   of 9 times, from L2: copies of 16 bytes pass L1 by.
// Accumulation: float, K in one order (taps of a slice of channels one after another with a halo,
//   slices of a tap without), whatever n and the place in the batch.
// Statistics, where wanted (statistics_parts.h): each warp's moments of its 32 or 16 rows, as they
//   are stored, by shuffles; the four warps' put together in their order. A function of the tile
//   alone.
// Launch: blocks of 128 threads; channels vary fastest, then phases, then rows: blocks that read
//   the same rows, or write to the same lines, run together and meet in L2.
// Never ran on a GPU yet.
#include "kernels/cuda/implicit_gemm.cuh"

#include "kernels/cuda/conv_layout.h"
#include "kernels/cuda/group.cuh"
#include "kernels/cuda/statistics_parts.h"
#include "kernels/cuda/tensor_core.cuh"

namespace msd::cuda {
namespace {

constexpr int kSliceBytes = 64;
constexpr int kSliceChunks = kSliceBytes / kChunkBytes;
template <typename T>
constexpr int kSliceElems = kSliceBytes / static_cast<int>(sizeof(T));
/// 8 rows 80 bytes apart lie in different banks for ldmatrix.
constexpr int kRowChunks = kSliceChunks + 1;
constexpr int kStepBytes = 32;  // of K, that one matrix instruction takes
/// Pixels beside the tile's own that a halo has room for: a 3x3 kernel's on images 56 wide.
constexpr int kHaloReach = 2 * (56 + 1);

/// The tile of a block: 16*kRowTiles rows of each of 4 warps, 8*kChannelTiles channels.
template <int kRowTiles_, int kChannelTiles_>
struct GemmTile {
  static constexpr int kRowTiles = kRowTiles_, kChannelTiles = kChannelTiles_;
  static constexpr int kThreads = 128, kWarps = kThreads / kWarpSize;
  static constexpr int kWarpRows = 16 * kRowTiles;
  static constexpr int kRows = kWarps * kWarpRows, kChannels = 8 * kChannelTiles;
  static_assert(StatisticsParts::rows_of_part(kChannels) == kRows);

  // Chunks of shared memory: kStages slices of gathered rows or two of halos, and kStages of
  // channels. Behind the last row there is no gap.
  static constexpr int kStages = 3;
  static constexpr int kGathered = kRows * kRowChunks;
  static constexpr int kHalo = (kRows + kHaloReach) * kRowChunks;
  static constexpr int kSource =
      (kStages * kGathered > 2 * kHalo ? kStages * kGathered : 2 * kHalo) - 1;
  static constexpr int kChannelsSlice = kChannels * kRowChunks;
  static constexpr int kAllChannels = kStages * kChannelsSlice - 1;

  /// The row of this lane's row addresses for ldmatrix in its warp's m-th 16 rows.
  MSD_DEVICE static int lane_row(int m) {
    return static_cast<int>(threadIdx.x) / kWarpSize * kWarpRows + m * 16 + lane_index() % 16;
  }
};

/// One axis of a phase: target positions first, first + step, ...; the source's coordinate under
/// position p and tap t is source + p*source_step + t.
struct PhaseAxis {
  int first, positions, source, taps;
  int weight_tap, weight_step;  // the weight of tap t is weight_tap + t*weight_step

  template <typename T, ConvPass kPass>
  MSD_DEVICE PhaseAxis(const GemmProblem<T, kPass>& p, int phase, int target_size)
      : first(phase),
        positions((target_size - phase + p.target_step() - 1) / p.target_step()),
        source(-p.padding),
        taps(p.kernel),
        weight_tap(0),
        weight_step(1) {
    if constexpr (kPass == ConvPass::backward_data) {
      // Position i reads output o with weight k where i + padding = o*stride + k. Rising outputs
      // have falling weights.
      const int shifted = phase + p.padding;
      const int least = shifted % p.stride;
      taps = least < p.kernel ? (p.kernel - least + p.stride - 1) / p.stride : 0;
      source = shifted / p.stride - (taps - 1);
      weight_tap = least + (taps - 1) * p.stride;
      weight_step = -p.stride;
    }
  }
  MSD_DEVICE int weight_of(int tap) const { return weight_tap + tap * weight_step; }
};

/// The target's positions of one phase; rows are those of all images.
struct Phase {
  PhaseAxis y, x;
  std::int64_t rows;

  template <typename T, ConvPass kPass>
  MSD_DEVICE Phase(const GemmProblem<T, kPass>& p, int index)
      : y(p, index / p.target_step(), p.target_h),
        x(p, index % p.target_step(), p.target_w),
        rows(p.n * y.positions * x.positions) {}
  MSD_DEVICE int image_positions() const { return y.positions * x.positions; }
};

/// Where K stands: a slice of the input channels at one tap.
struct SlicePosition {
  int tap_y = 0, tap_x = 0, channel = 0;  // the slice's first

  /// The next tap, and true; or the first again.
  MSD_DEVICE bool next_tap(const Phase& phase) {
    if (++tap_x < phase.x.taps) return true;
    tap_x = 0;
    if (++tap_y < phase.y.taps) return true;
    tap_y = 0;
    return false;
  }
  /// The next channels, and true; or the first again.
  template <typename T, ConvPass kPass>
  MSD_DEVICE bool next_channels(const GemmProblem<T, kPass>& p) {
    channel += kSliceElems<T>;
    if (channel < p.ins) return true;
    channel = 0;
    return false;
  }
};

/// What one thread copies of every slice: one chunk of rows first, first + kStep, ...
template <typename T, typename Tile>
struct ThreadChunk {
  static constexpr int kStep = Tile::kThreads / kSliceChunks;
  int chunk = static_cast<int>(threadIdx.x) % kSliceChunks;
  int first = static_cast<int>(threadIdx.x) / kSliceChunks;

  MSD_DEVICE int channel(const SlicePosition& at) const {
    return at.channel + chunk * (kChunkBytes / static_cast<int>(sizeof(T)));
  }
};

// The two ways of the source's rows. load() starts the copies of the slice at a position into
// `stage`; row() is where this lane finds its row for ldmatrix in its warp's m-th 16 rows;
// advance() is the order of K.

/// The rows of every slice gathered one by one.
template <typename T, typename Tile, ConvPass kPass>
class GatheredRows {
 public:
  MSD_DEVICE GatheredRows(const GemmProblem<T, kPass>& p, const Phase& phase,
                          std::int64_t first_row, Chunk* shared)
      : p_(p), shared_(shared) {
    MSD_UNROLL for (int i = 0; i < kRowsEach; ++i) {
      const std::int64_t row = first_row + mine_.first + i * mine_.kStep;
      image_[i] = p.source;
      y_[i] = x_[i] = kOutside;
      if (row >= phase.rows) continue;
      const std::int64_t n = row / phase.image_positions();
      const int position = static_cast<int>(row - n * phase.image_positions());
      image_[i] = p.source + n * p.source_h * p.source_w * p.source_pitch;
      y_[i] = position / phase.x.positions * p.source_step() + phase.y.source;
      x_[i] = position % phase.x.positions * p.source_step() + phase.x.source;
    }
  }

  MSD_DEVICE void load(const SlicePosition& at, int stage) {
    const int channel = mine_.channel(at), bytes = chunk_bytes<T>(p_.ins - channel);
    Chunk* const to = shared_ + stage * Tile::kGathered + mine_.chunk;
    MSD_UNROLL for (int i = 0; i < kRowsEach; ++i) {
      const int y = y_[i] + at.tap_y, x = x_[i] + at.tap_x;
      const bool inside = y >= 0 && y < p_.source_h && x >= 0 && x < p_.source_w && bytes > 0;
      const T* from =
          inside ? image_[i] + (std::int64_t{y} * p_.source_w + x) * p_.source_pitch + channel
                 : p_.source;
      copy_chunk(to + (mine_.first + i * mine_.kStep) * kRowChunks, from, inside ? bytes : 0,
                 p_.copy_bytes);
    }
  }

  MSD_DEVICE const Chunk* row(const SlicePosition&, int stage, int m) const {
    return shared_ + stage * Tile::kGathered + Tile::lane_row(m) * kRowChunks;
  }

  MSD_DEVICE static void advance(SlicePosition& at, const GemmProblem<T, kPass>& p,
                                 const Phase& phase) {
    if (!at.next_channels(p)) at.next_tap(phase);
  }

 private:
  static constexpr int kRowsEach = Tile::kRows / ThreadChunk<T, Tile>::kStep;
  static constexpr int kOutside = -0x40000000;  // no tap brings it into the image

  const GemmProblem<T, kPass>& p_;
  Chunk* const shared_;
  const ThreadChunk<T, Tile> mine_;
  const T* image_[kRowsEach];        // of each row
  int y_[kRowsEach], x_[kRowsEach];  // the pixel under tap 0, 0
};

/// Where the target is as large as the source, its row r reads under tap (y, x) the source's pixel
/// r + y*width + x, counted from the one under tap 0, 0 of row 0. So all taps of a tile's rows are
/// one run of pixels; those beyond an image's edge count as zeros. A slice of the run's channels
/// lies in one of two buffers while the other receives the next.
template <typename T, typename Tile, ConvPass kPass>
class HaloRows {
 public:
  MSD_DEVICE static bool fits(const GemmProblem<T, kPass>& p) {
    return p.stride == 1 && p.kernel > 1 && p.kernel == 2 * p.padding + 1 &&
           p.kernel * p.kernel <= 32 && reach(p) <= kHaloReach;
  }

  /// zeros: kSliceChunks of them, for what lies outside the image.
  MSD_DEVICE HaloRows(const GemmProblem<T, kPass>& p, const Phase& phase, std::int64_t first_row,
                      Chunk* shared, Chunk* zeros)
      : p_(p),
        first_pixel_(first_row + std::int64_t{phase.y.source} * p.source_w + phase.x.source),
        shared_(shared),
        zeros_(zeros) {
    if (threadIdx.x < kSliceChunks) zeros[threadIdx.x] = Chunk{};
    MSD_UNROLL for (int m = 0; m < Tile::kRowTiles; ++m) {
      inside_[m] = 0;
      const std::int64_t row = first_row + Tile::lane_row(m);
      if (row >= phase.rows) continue;
      const int position = static_cast<int>(row % phase.image_positions());
      const int y = position / p.source_w + phase.y.source;
      const int x = position % p.source_w + phase.x.source;
      for (int tap = 0; tap < p.kernel * p.kernel; ++tap) {
        const int tap_y = y + tap / p.kernel, tap_x = x + tap % p.kernel;
        const bool inside = tap_y >= 0 && tap_y < p.source_h && tap_x >= 0 && tap_x < p.source_w;
        inside_[m] |= static_cast<std::uint32_t>(inside) << tap;
      }
    }
  }

  MSD_DEVICE void load(const SlicePosition& at, int) {
    if (at.tap_y != 0 || at.tap_x != 0) return;
    const int channel = mine_.channel(at), bytes = chunk_bytes<T>(p_.ins - channel);
    const std::int64_t pixels = p_.n * p_.source_h * p_.source_w;
    Chunk* const to = halo(at) + mine_.chunk;
    for (int i = mine_.first; i < Tile::kRows + reach(p_); i += mine_.kStep) {
      const std::int64_t pixel = first_pixel_ + i;
      const bool live = pixel >= 0 && pixel < pixels && bytes > 0;
      const T* from = live ? p_.source + pixel * p_.source_pitch + channel : p_.source;
      copy_chunk(to + i * kRowChunks, from, live ? bytes : 0, p_.copy_bytes);
    }
  }

  MSD_DEVICE const Chunk* row(const SlicePosition& at, int, int m) const {
    if ((inside_[m] >> (at.tap_y * p_.kernel + at.tap_x) & 1) == 0) return zeros_;
    return halo(at) + (Tile::lane_row(m) + at.tap_y * p_.source_w + at.tap_x) * kRowChunks;
  }

  MSD_DEVICE static void advance(SlicePosition& at, const GemmProblem<T, kPass>& p,
                                 const Phase& phase) {
    if (!at.next_tap(phase)) at.next_channels(p);
  }

 private:
  /// From the pixel under the first tap to that under the last.
  MSD_DEVICE static int reach(const GemmProblem<T, kPass>& p) {
    return (p.kernel - 1) * (p.source_w + 1);
  }
  MSD_DEVICE Chunk* halo(const SlicePosition& at) const {
    return shared_ + at.channel / kSliceElems<T> % 2 * Tile::kHalo;
  }

  const GemmProblem<T, kPass>& p_;
  const std::int64_t first_pixel_;  // under tap 0, 0 of the tile's first row
  Chunk* const shared_;
  const Chunk* const zeros_;
  const ThreadChunk<T, Tile> mine_;
  std::uint32_t inside_[Tile::kRowTiles];  // of this lane's rows, a bit a tap
};

/// Starts the copies of the weights of a slice: a row for each of the tile's channels.
template <typename Tile, typename T, ConvPass kPass>
MSD_DEVICE void load_channels(const GemmProblem<T, kPass>& p, const Phase& phase, int first_channel,
                              const SlicePosition& at, Chunk* channels) {
  const ThreadChunk<T, Tile> mine;
  const int channel = mine.channel(at);
  const int tap = phase.y.weight_of(at.tap_y) * p.kernel + phase.x.weight_of(at.tap_x);
  for (int row = mine.first; row < Tile::kChannels; row += mine.kStep) {
    const int out = first_channel + row;
    const bool live = out < p.outs && channel < p.weight_row_elems;
    const T* from =
        live ? p.weight + (std::int64_t{tap} * p.outs + out) * p.weight_row_elems + channel
             : p.weight;
    copy_async<kChunkBytes>(channels + row * kRowChunks + mine.chunk, from, live);
  }
}

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
  if constexpr (std::is_same_v<T, bfloat16>) {
    run_all_tiles<MathMode::bf16>(context, problems);
  } else if (context.allow_tf32) {
    run_all_tiles<MathMode::tf32>(context, problems);
  } else {
    run_all_tiles<MathMode::tf32x3>(context, problems);
  }
}
template void implicit_gemm(const Context&, std::span<const ForwardGemm>);
template void implicit_gemm(const Context&, std::span<const ForwardGemmBf16>);
template void implicit_gemm(const Context&, std::span<const BackwardGemm>);
template void implicit_gemm(const Context&, std::span<const BackwardGemmBf16>);

}  // namespace msd::cuda
