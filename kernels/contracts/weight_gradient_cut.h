// SPDX-License-Identifier: MIT
// How conv_backward_weight cuts its work; conv_backward_weight.cu says what the numbers mean.
#pragma once

#include "kernels/contracts/convolution.h"

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

}  // namespace msd::cuda
