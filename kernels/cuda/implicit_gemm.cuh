// SPDX-License-Identifier: MIT
// Convolution as implicit GEMM on the tensor cores: output rows (M) x output channels (N), summed
// over taps and input channels (K). The gathered matrix exists only as tiles in shared memory.
//
// A block of 4 warps makes a tile of kTileRows output rows by kTileChannels output channels. K goes
// by in slices of 64 bytes a row (16 floats, 32 bf16) of one tap, kStages of them in flight; rows
// outside the image, channels past the last and rows past the last arrive as zeros. Everything up
// to the multiplication is the same bytes for float and bf16: ldmatrix takes 16-byte rows of both.
#pragma once

#include <cstdint>

#include "kernels/cuda/device_code.cuh"
#include "kernels/cuda/group.cuh"

namespace msd::cuda {

/// How factors are multiplied. bf16: bf16 factors; tf32: floats rounded to tf32; tf32x3: floats as
/// a sum of two tf32, of which the product of the small parts (2^-22 of the whole) is dropped.
/// Sums are float in all.
enum class MathMode : std::uint8_t { bf16, tf32, tf32x3 };

/// The tile of a block: 16*kRowTiles rows of each of 4 warps, 8*kChannelTiles channels.
template <int kRowTiles_, int kChannelTiles_>
struct GemmTile {
  static constexpr int kRowTiles = kRowTiles_, kChannelTiles = kChannelTiles_;
  static constexpr int kThreads = 128, kWarps = kThreads / kWarpSize;
  static constexpr int kRows = kWarps * 16 * kRowTiles, kChannels = 8 * kChannelTiles;
  static constexpr int kStages = 3;
};

inline constexpr int kSliceBytes = 64;
inline constexpr int kChunkBytes = 16;
inline constexpr int kSliceChunks = kSliceBytes / kChunkBytes;
/// 8 rows 80 bytes apart lie in different banks for ldmatrix.
inline constexpr int kRowChunks = kSliceChunks + 1;
inline constexpr int kStepBytes = 32;  // of K, that one matrix instruction takes

struct alignas(kChunkBytes) Chunk {
  unsigned char bytes[kChunkBytes];
};

/// One convolution. x and y: NHWC rows with a pitch in elements; weight: conv_pack's.
template <typename T>
struct GemmProblem {
  const T* x;
  const T* weight;
  const float* bias;  // or null
  T* y;
  std::int64_t x_pitch, y_pitch, rows;  // rows of y
  int h, w, out_w, out_hw;              // of x; of y
  int cin, cout, weight_row_elems;
  int kernel, stride, padding;
  int copy_bytes;  // all addresses of x's channels are multiples: 16, 8, 4 or 2
  bool relu;

  template <typename Tile>
  __host__ __device__ std::int64_t channel_blocks() const {
    return (cout + Tile::kChannels - 1) / Tile::kChannels;
  }
  template <typename Tile>
  __host__ __device__ std::int64_t blocks() const {
    return (rows + Tile::kRows - 1) / Tile::kRows * channel_blocks<Tile>();
  }
};

/// kUnit bytes at a time of one chunk: the first `bytes` (0 to 16) from `from`, then zeros.
template <int kUnit>
MSD_DEVICE void copy_chunk_by(Chunk* to, const unsigned char* from, int bytes) {
  MSD_UNROLL for (int at = 0; at < kChunkBytes; at += kUnit) {
    const int left = bytes - at;
    const int part = left < 0 ? 0 : left < kUnit ? left : kUnit;
    copy_async_part<kUnit>(to->bytes + at, part > 0 ? from + at : from, part);
  }
}

/// cp.async moves at least 4 bytes to addresses of 4; a bf16 slice may start at a multiple of 2.
MSD_DEVICE void copy_chunk(Chunk* to, const void* from, int bytes, int copy_bytes) {
  const auto* source = static_cast<const unsigned char*>(from);
  switch (copy_bytes) {
    case 16:
      return copy_chunk_by<16>(to, source, bytes);
    case 8:
      return copy_chunk_by<8>(to, source, bytes);
    case 4:
      return copy_chunk_by<4>(to, source, bytes);
    default: {
      auto* elements = reinterpret_cast<std::uint16_t*>(to->bytes);
      for (int i = 0; i < kChunkBytes / 2; ++i) {
        elements[i] = 2 * i < bytes ? static_cast<const std::uint16_t*>(from)[i] : 0;
      }
    }
  }
}

/// Where K stands: a slice of the input channels at one tap.
struct SlicePosition {
  int ky = 0, kx = 0, channel = 0;  // the slice's first

  template <typename T>
  MSD_DEVICE void advance(const GemmProblem<T>& p) {
    channel += kSliceBytes / static_cast<int>(sizeof(T));
    if (channel < p.cin) return;
    channel = 0;
    if (++kx < p.kernel) return;
    kx = 0;
    ++ky;
  }
};

/// What one thread brings to a tile: chunk threadIdx % 4 of every 32nd row.
template <typename T, typename Tile>
class TileLoader {
 public:
  MSD_DEVICE TileLoader(const GemmProblem<T>& p, std::int64_t first_row, int first_channel)
      : p_(p),
        chunk_(static_cast<int>(threadIdx.x) % kSliceChunks),
        row_(static_cast<int>(threadIdx.x) / kSliceChunks),
        first_channel_(first_channel) {
    MSD_UNROLL for (int i = 0; i < kRowsEach; ++i) {
      const std::int64_t row = first_row + row_ + i * kRowStep;
      image_[i] = p.x;
      y_[i] = x_[i] = kOutside;
      if (row >= p.rows) continue;
      const std::int64_t n = row / p.out_hw;
      const int pixel = static_cast<int>(row - n * p.out_hw);
      image_[i] = p.x + n * p.h * p.w * p.x_pitch;
      y_[i] = pixel / p.out_w * p.stride - p.padding;
      x_[i] = pixel % p.out_w * p.stride - p.padding;
    }
  }

  /// Starts the copies of the slice at the loader's position and moves on to the next.
  MSD_DEVICE void load(Chunk* rows, Chunk* channels) {
    constexpr int kChunkElems = kChunkBytes / static_cast<int>(sizeof(T));
    const int channel = position_.channel + chunk_ * kChunkElems;
    const int bytes = bytes_of(p_.cin - channel);
    MSD_UNROLL for (int i = 0; i < kRowsEach; ++i) {
      const int y = y_[i] + position_.ky, x = x_[i] + position_.kx;
      const bool inside = y >= 0 && y < p_.h && x >= 0 && x < p_.w && bytes > 0;
      const T* from =
          inside ? image_[i] + (std::int64_t{y} * p_.w + x) * p_.x_pitch + channel : p_.x;
      copy_chunk(rows + (row_ + i * kRowStep) * kRowChunks + chunk_, from, inside ? bytes : 0,
                 p_.copy_bytes);
    }
    const int tap = position_.ky * p_.kernel + position_.kx;
    for (int row = row_; row < Tile::kChannels; row += kRowStep) {
      const int out = first_channel_ + row;
      const bool live = out < p_.cout && channel < p_.weight_row_elems;
      const T* from =
          live ? p_.weight + (std::int64_t{tap} * p_.cout + out) * p_.weight_row_elems + channel
               : p_.weight;
      copy_async<kChunkBytes>(channels + row * kRowChunks + chunk_, from, live);
    }
    position_.advance(p_);
  }

 private:
  static constexpr int kRowStep = Tile::kThreads / kSliceChunks;
  static constexpr int kRowsEach = Tile::kRows / kRowStep;
  static constexpr int kOutside = -0x40000000;  // no tap brings it into the image

  MSD_DEVICE static int bytes_of(int elems) {
    const int bytes = elems * static_cast<int>(sizeof(T));
    return bytes < 0 ? 0 : bytes < kChunkBytes ? bytes : kChunkBytes;
  }

  const GemmProblem<T>& p_;
  int chunk_, row_, first_channel_;
  SlicePosition position_;
  const T* image_[kRowsEach];        // of each row
  int y_[kRowsEach], x_[kRowsEach];  // the pixel under tap 0, 0
};

/// A 16 x k times k x 8 product of what load_matrix_x4 brought; k is kStepBytes of factors.
template <MathMode kMode>
MSD_DEVICE void multiply(float (&sums)[4], const std::uint32_t (&a)[4],
                         const std::uint32_t (&b)[2] MSD_CALLER) {
  if constexpr (kMode == MathMode::bf16) {
    mma_m16n8k16(sums, a, b MSD_PASS_CALLER);
  } else {
    std::uint32_t a_large[4], b_large[2], a_small[4], b_small[2];
    const auto split = [](std::uint32_t bits, std::uint32_t& large, std::uint32_t& small) {
      const float value = __uint_as_float(bits);
      large = to_tf32(value);
      small = to_tf32(value - __uint_as_float(large));
    };
    MSD_UNROLL for (int i = 0; i < 4; ++i) split(a[i], a_large[i], a_small[i]);
    for (int i = 0; i < 2; ++i) split(b[i], b_large[i], b_small[i]);
    if constexpr (kMode == MathMode::tf32x3) {
      mma_m16n8k8(sums, a_small, b_large MSD_PASS_CALLER);
      mma_m16n8k8(sums, a_large, b_small MSD_PASS_CALLER);
    }
    mma_m16n8k8(sums, a_large, b_large MSD_PASS_CALLER);
  }
}

/// One warp's sums over the tile.
template <MathMode kMode, typename Tile>
class WarpTile {
 public:
  /// Adds the products of a slice, of which the first `bytes` of each row count.
  MSD_DEVICE void add(const Chunk* rows, const Chunk* channels, int bytes) {
    const int lane = lane_index();
    const Chunk* mine = rows + (first_row() + lane % 16) * kRowChunks;
    for (int step = 0; step * kStepBytes < bytes; ++step) {
      std::uint32_t a[Tile::kRowTiles][4];
      MSD_UNROLL for (int m = 0; m < Tile::kRowTiles; ++m) {
        load_matrix_x4(a[m], mine + m * 16 * kRowChunks + 2 * step + lane / 16);
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

  /// Calls store(row, channel, sum) for each of this lane's sums, counted from the tile's first.
  template <typename Store>
  MSD_DEVICE void for_each(Store store) const {
    const int lane = lane_index();
    MSD_UNROLL for (int m = 0; m < Tile::kRowTiles; ++m) {
      MSD_UNROLL for (int n = 0; n < Tile::kChannelTiles; ++n) {
        MSD_UNROLL for (int i = 0; i < 4; ++i) {
          store(first_row() + m * 16 + i / 2 * 8 + lane / 4, n * 8 + lane % 4 * 2 + i % 2,
                sums_[m][n][i]);
        }
      }
    }
  }

 private:
  MSD_DEVICE static int first_row() {
    return static_cast<int>(threadIdx.x) / kWarpSize * 16 * Tile::kRowTiles;
  }
  float sums_[Tile::kRowTiles][Tile::kChannelTiles][4] = {};
};

/// The block's tile of sums: of p's output rows from first_row and channels from first_channel.
template <MathMode kMode, typename Tile, typename T>
MSD_DEVICE WarpTile<kMode, Tile> tile_of_sums(const GemmProblem<T>& p, std::int64_t first_row,
                                              int first_channel) {
  constexpr int kRowsStage = Tile::kRows * kRowChunks;
  constexpr int kChannelsStage = Tile::kChannels * kRowChunks;
  constexpr int kAhead = Tile::kStages - 1;
  // Behind the last row there is no gap.
  MSD_SHARED(Chunk, rows, Tile::kStages * kRowsStage - 1);
  MSD_SHARED(Chunk, channels, Tile::kStages * kChannelsStage - 1);
  TileLoader<T, Tile> loader(p, first_row, first_channel);
  WarpTile<kMode, Tile> sums;
  constexpr int kSliceElems = kSliceBytes / static_cast<int>(sizeof(T));
  const int slices = p.kernel * p.kernel * ((p.cin + kSliceElems - 1) / kSliceElems);
  for (int slice = 0; slice < kAhead; ++slice) {
    if (slice < slices) loader.load(rows + slice * kRowsStage, channels + slice * kChannelsStage);
    copy_commit();
  }
  SlicePosition position;
  for (int slice = 0; slice < slices; ++slice) {
    copy_wait<kAhead - 1>();
    block_sync();  // the slice is there, and nobody reads the one before any more
    const int next = slice + kAhead;
    if (next < slices) {
      const int stage = next % Tile::kStages;
      loader.load(rows + stage * kRowsStage, channels + stage * kChannelsStage);
    }
    copy_commit();
    const int stage = slice % Tile::kStages;
    const int left = (p.cin - position.channel) * static_cast<int>(sizeof(T));
    sums.add(rows + stage * kRowsStage, channels + stage * kChannelsStage,
             left < kSliceBytes ? left : kSliceBytes);
    position.advance(p);
  }
  return sums;
}

}  // namespace msd::cuda
