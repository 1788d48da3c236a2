// SPDX-License-Identifier: MIT
// How each backend cuts a convolution's work into parts that need memory of their own: shapes
// alone, so that the contract can say how much that is. The bodies cut by the same functions.
#pragma once

#include "kernels/contracts/convolution.h"

namespace msd::cpu {

/// Chunks of output rows whose contributions to a weight gradient are summed apart and then added
/// in order. Depends on the shapes alone. At least 1.
std::int64_t weight_gradient_chunks(const ConvGeometry& geometry, std::int64_t n, std::int64_t h,
                                    std::int64_t w);

/// Elements of one chunk's partial sums: dw in either layout of cpu/convolution/
/// conv_backward_weight.cpp, then dbias; a multiple of 16.
std::int64_t weight_gradient_partial_elems(const ConvGeometry& geometry);

}  // namespace msd::cpu

namespace msd::cuda {

/// Input channels of one tap that share a column of 8x8 matrices.
inline constexpr std::int64_t kGroupChannels = 8;

/// A block's part of dw: so many output channels of so many groups of input channels.
struct WeightGradientTile {
  std::int64_t outs, groups;
};
/// The first that holds all output channels is taken, or the last. 10 groups: a 3x3 kernel's 9
/// taps of few channels.
inline constexpr WeightGradientTile kWeightGradientTile[] = {{8, 10}, {16, 10}, {32, 8}, {64, 16}};
inline constexpr int kWeightGradientTiles = 4;

/// Every split of the rows of dy has group_tiles x out_tiles blocks and partial_elems sums: dw,
/// then dbias. Follows from the shape alone. All splits together have at most 2^21 sums (8 MiB)
/// unless there is only one.
struct WeightGradientCut {
  int tile = 0;  // of kWeightGradientTile
  std::int64_t groups = 0, tile_groups = 0, group_tiles = 0, out_tiles = 0;
  std::int64_t splits = 0, split_rows = 0, partial_elems = 0;
};
WeightGradientCut weight_gradient_cut(const ConvGeometry& geometry, std::int64_t rows);

/// How conv_forward leaves batch statistics (implicit_gemm.cu) and batchnorm_forward reads them. A
/// part is the rows of the output that one block of implicit GEMM makes: neighbouring ones, the
/// last part has what is left. [parts][2][channels] of float: the rows' mean, then the sum of their
/// squared distances from it. Follows from the shape alone.
struct StatisticsParts {
  std::int64_t rows_each = 0, count = 0;

  StatisticsParts() = default;
  StatisticsParts(std::int64_t rows, std::int64_t channels)
      : rows_each(rows_of_part(channels)), count(ceil_div(rows, rows_each)) {}

  static constexpr std::int64_t rows_of_part(std::int64_t channels) {
    return channels <= 32 ? 128 : 64;
  }
};

}  // namespace msd::cuda
