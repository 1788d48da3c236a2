// SPDX-License-Identifier: MIT
// What implicit_gemm.cu brings to shared memory: its tile, the phases and taps it walks through,
// and the slices of source and weights.
#pragma once

#include "kernels/contracts/workspace_cuts.h"
#include "kernels/cuda/convolution/implicit_gemm.cuh"
#include "kernels/cuda/convolution/tensor_core.cuh"

namespace msd::cuda {

inline constexpr int kSliceBytes = 64;
inline constexpr int kSliceChunks = kSliceBytes / kChunkBytes;
template <typename T>
inline constexpr int kSliceElems = kSliceBytes / static_cast<int>(sizeof(T));
/// 8 rows 80 bytes apart lie in different banks for ldmatrix.
inline constexpr int kRowChunks = kSliceChunks + 1;
inline constexpr int kStepBytes = 32;  // of K, that one matrix instruction takes
/// Pixels beside the tile's own that a halo has room for: a 3x3 kernel's on images 56 wide.
inline constexpr int kHaloReach = 2 * (56 + 1);

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

}  // namespace msd::cuda
