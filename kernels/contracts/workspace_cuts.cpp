// SPDX-License-Identifier: MIT
#include "kernels/contracts/workspace_cuts.h"

#include <algorithm>

namespace msd::cpu {

std::int64_t weight_gradient_chunks(const ConvGeometry& g, std::int64_t n, std::int64_t h,
                                    std::int64_t w) {
  constexpr std::int64_t kMaxChunks = 8;
  constexpr std::int64_t kMulAdds = std::int64_t{32} << 20;  // worth a chunk of its own
  constexpr std::int64_t kPixels = 512;  // fewer make adding the chunks up cost too much
  const std::int64_t pixels = n * g.out_size(h) * g.out_size(w);
  const std::int64_t wanted = std::min(pixels * g.weight_elems() / kMulAdds, pixels / kPixels);
  return std::clamp(std::min(wanted, n * g.out_size(h)), std::int64_t{1}, kMaxChunks);
}

std::int64_t weight_gradient_partial_elems(const ConvGeometry& g) {
  std::int64_t dw = 0;
  for (const std::int64_t runs : {g.kernel, g.kernel * g.kernel}) {
    const std::int64_t run = g.kernel * g.kernel * g.cin / runs;
    dw = std::max({dw, runs * g.cout * round_up(run, 16), runs * run * round_up(g.cout, 16)});
  }
  return round_up(dw, 16) + round_up(g.cout, 16);
}

}  // namespace msd::cpu

namespace msd::cuda {

WeightGradientCut weight_gradient_cut(const ConvGeometry& g, std::int64_t rows) {
  constexpr std::int64_t kBlocks = 256;         // of a problem, to fill a GPU
  constexpr std::int64_t kLeastRows = 256;      // worth a block
  constexpr std::int64_t kSplitUnit = 64;       // the most rows of a slice
  constexpr std::int64_t kMostElems = 2 << 20;  // of all splits, where there is more than one
  WeightGradientCut cut;
  cut.tile = 0;
  while (cut.tile < kWeightGradientTiles - 1 && g.cout > kWeightGradientTile[cut.tile].outs) {
    ++cut.tile;
  }
  const WeightGradientTile& tile = kWeightGradientTile[cut.tile];
  cut.groups = g.kernel * g.kernel * ceil_div(g.cin, kGroupChannels);
  // Tiles alike in size, of pairs of groups.
  cut.tile_groups = round_up(ceil_div(cut.groups, ceil_div(cut.groups, tile.groups)), 2);
  cut.group_tiles = ceil_div(cut.groups, cut.tile_groups);
  cut.out_tiles = ceil_div(g.cout, tile.outs);
  cut.partial_elems = g.weight_elems() + g.cout;
  const std::int64_t wanted =
      std::min(ceil_div(rows, kLeastRows), ceil_div(kBlocks, cut.group_tiles * cut.out_tiles));
  const std::int64_t fitting = std::min(wanted, kMostElems / cut.partial_elems);
  cut.split_rows = round_up(ceil_div(rows, std::max<std::int64_t>(fitting, 1)), kSplitUnit);
  cut.splits = rows == 0 ? 0 : ceil_div(rows, cut.split_rows);
  return cut;
}

}  // namespace msd::cuda
