// SPDX-License-Identifier: MIT
// What a block of conv_backward_weight's kernel works on and brings to shared memory: slices of
// rows of x and dy, each in the order of its channels (conv_backward_weight.cu).
#pragma once

#include <cstdint>

#include "kernels/contracts/workspace_cuts.h"
#include "kernels/cuda/convolution/tensor_core.cuh"

namespace msd::cuda {

inline constexpr int kGroup = static_cast<int>(kGroupChannels);

/// Tile kIndex of kWeightGradientTile for factors T. Warps lie kAcross over its groups and kDeep
/// over a slice's rows.
template <int kIndex, typename T>
struct GradientTile {
  static constexpr int kThreads = 128, kWarps = kThreads / kWarpSize, kStages = 3;
  static constexpr int kOuts = static_cast<int>(kWeightGradientTile[kIndex].outs);
  static constexpr int kGroups = static_cast<int>(kWeightGradientTile[kIndex].groups);
  static constexpr int kAcross = kGroups > 10 ? kWarps : 1, kDeep = kWarps / kAcross;
  static constexpr int kOutTiles = kOuts / kGroup, kPairs = kGroups / 2 / kAcross;  // of a warp
  static constexpr int kStepRows = 32 / static_cast<int>(sizeof(T));  // of a matrix instruction
  static constexpr int kSteps = kDeep > 1 ? kDeep : 2, kSliceRows = kSteps * kStepRows;
  static constexpr int kGroupChunks = kGroup * static_cast<int>(sizeof(T)) / kChunkBytes;
  /// Chunks from row to row: odd numbers of groups lie in different banks.
  static constexpr int kColumnPitch = (kGroups | 1) * kGroupChunks;
  static constexpr int kOutPitch = (kOutTiles | 1) * kGroupChunks;
  static_assert(kGroups % (2 * kAcross) == 0);
};

template <typename T>
struct WeightGradient {
  const T *x, *dy;
  float* partials;  // [splits][partial_elems]
  std::int64_t x_pitch, dy_pitch, rows, partial_elems;
  int splits, split_rows;
  int h, w, out_w, out_hw;  // of x; of dy
  int cin, cout, kernel, stride, padding;
  int tile, groups, tap_groups, tile_groups, group_tiles, out_tiles;
  int x_copy_bytes, dy_copy_bytes;  // see copy_bytes_of
  bool with_bias;

  std::int64_t blocks() const { return std::int64_t{splits} * group_tiles * out_tiles; }
};

/// 8 input channels of one tap.
struct Group {
  template <typename T>
  MSD_DEVICE Group(const WeightGradient<T>& p, int group)
      : tap(group / p.tap_groups), channel(group % p.tap_groups * kGroup) {}
  int tap, channel;  // the first
};

/// Where a group's columns come from, counted from the pixel under tap 0, 0.
struct alignas(16) Column {
  std::int64_t offset;  // elements
  std::int16_t y, x;
  std::int32_t channels;  // 0 past the last group
};

/// A block's tile and its rows.
template <typename Tile>
struct TileTask {
  template <typename T>
  MSD_DEVICE TileTask(const WeightGradient<T>& p, unsigned index)
      : split(static_cast<int>(index) / (p.group_tiles * p.out_tiles)),
        first_group(static_cast<int>(index) % p.group_tiles * p.tile_groups),
        first_out(static_cast<int>(index) / p.group_tiles % p.out_tiles * Tile::kOuts),
        first_row(std::int64_t{split} * p.split_rows) {
    const int groups_left = p.groups - first_group;
    groups = groups_left < p.tile_groups ? groups_left : p.tile_groups;
    const std::int64_t rows_left = p.rows - first_row;
    rows = rows_left < p.split_rows ? static_cast<int>(rows_left) : p.split_rows;
  }
  int split, first_group, first_out;
  std::int64_t first_row;
  int groups, rows;
};

/// What one thread brings to a tile: of one row, every kRowThreads-th chunk.
template <typename T, typename Tile>
class SliceLoader {
 public:
  MSD_DEVICE SliceLoader(const WeightGradient<T>& p, const TileTask<Tile>& task,
                         const Column* columns)
      : p_(p),
        columns_(columns),
        row_(static_cast<int>(threadIdx.x) / kRowThreads),
        part_(static_cast<int>(threadIdx.x) % kRowThreads),
        x_chunks_((task.groups + 1) / 2 * 2 * Tile::kGroupChunks),
        rows_(task.rows),
        first_out_(task.first_out) {
    const std::int64_t n = task.first_row / p.out_hw;
    first_pixel_ = static_cast<int>(task.first_row - n * p.out_hw);
    image_ = p.x + n * p.h * p.w * p.x_pitch;
    dy_ = p.dy + task.first_row * p.dy_pitch + first_out_;
  }

  /// Starts the copies of the next slice.
  MSD_DEVICE void load(Chunk* x_rows, Chunk* dy_rows) {
    const int row = next_ + row_;
    const bool live = row < rows_;
    const int at = first_pixel_ + row, n = at / p_.out_hw, pixel = at - n * p_.out_hw;
    const int out_y = pixel / p_.out_w, out_x = pixel - out_y * p_.out_w;
    const int y = out_y * p_.stride - p_.padding, x = out_x * p_.stride - p_.padding;
    const std::int64_t under = ((std::int64_t{n} * p_.h + y) * p_.w + x) * p_.x_pitch;
    for (int chunk = part_; chunk < x_chunks_; chunk += kRowThreads) {
      const Column column = columns_[chunk / Tile::kGroupChunks];
      const int channel = chunk % Tile::kGroupChunks * kChunkElems;
      const int in_y = y + column.y, in_x = x + column.x;
      const bool inside = live && in_y >= 0 && in_y < p_.h && in_x >= 0 && in_x < p_.w;
      const int bytes = inside ? chunk_bytes<T>(column.channels - channel) : 0;
      copy_chunk(x_rows + row_ * Tile::kColumnPitch + chunk,
                 bytes > 0 ? image_ + (under + column.offset + channel) : p_.x, bytes,
                 p_.x_copy_bytes);
    }
    for (int chunk = part_; chunk < Tile::kOutTiles * Tile::kGroupChunks; chunk += kRowThreads) {
      const int channel = chunk * kChunkElems;
      const int bytes = live ? chunk_bytes<T>(p_.cout - first_out_ - channel) : 0;
      copy_chunk(dy_rows + row_ * Tile::kOutPitch + chunk,
                 bytes > 0 ? dy_ + row * p_.dy_pitch + channel : p_.dy, bytes, p_.dy_copy_bytes);
    }
    next_ += Tile::kSliceRows;
  }

 private:
  static constexpr int kRowThreads = Tile::kThreads / Tile::kSliceRows;
  static constexpr int kChunkElems = kChunkBytes / static_cast<int>(sizeof(T));

  const WeightGradient<T>& p_;
  const Column* columns_;
  int row_, part_, x_chunks_, rows_, first_out_;
  int first_pixel_;  // of the split, in image_
  int next_ = 0;     // row of the split
  const T *image_, *dy_;
};

}  // namespace msd::cuda
