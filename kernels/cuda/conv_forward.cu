// SPDX-License-Identifier: MIT
// conv_forward: y = [relu](conv(x, w) [+ bias]), implicit GEMM on the tensor cores
//   (implicit_gemm.cuh).
// Layout: x and y NHWC rows with a pitch, slices at any element; w from conv_pack, rows of 16
//   bytes. 16-, 8- or 4-byte asynchronous copies as x's addresses allow; bf16 at odd elements by
//   single elements.
// Accumulation: float. Factors: bf16; f32 as three tf32 products (error of a product about 2^-22;
//   an infinite factor gives NaN), or as one with allow_tf32 (2^-11).
// Deterministic and batch-invariant: K in one order, whatever n and the place in the batch.
// Launch: blocks of 128 threads, a tile of 128 rows x 8, 16 or 32 channels (64 x 64 from 33
//   channels on); one launch for up to 8 problems whose tiles are alike.
// Bytes: x once a channel tile (taps again from L1/L2), w once a row tile, y once.
//   FLOPs: 2*rows*cout*taps*cin, three times as many tensor-core ones for f32. Never ran on a GPU
//   yet.
#include <cstdint>

#include "kernels/cuda/conv_layout.h"
#include "kernels/cuda/implicit_gemm.cuh"
#include "kernels/cuda/ops.h"

namespace msd::cuda {
namespace {

template <MathMode kMode, typename Tile, typename T>
__global__ void __launch_bounds__(Tile::kThreads)
    implicit_gemm_kernel(const __grid_constant__ ProblemTable<GemmProblem<T>> table) {
  const BlockTask task = block_task(table);
  const GemmProblem<T>& p = table.problems[task.problem];
  // Blocks that share rows of x follow each other: L2 has them then.
  const auto channel_blocks = static_cast<unsigned>(p.template channel_blocks<Tile>());
  const std::int64_t first_row = std::int64_t{task.index / channel_blocks} * Tile::kRows;
  const int first_channel = static_cast<int>(task.index % channel_blocks) * Tile::kChannels;
  const auto sums = tile_of_sums<kMode, Tile>(p, first_row, first_channel);
  sums.for_each([&](int tile_row, int tile_channel, float sum) {
    const std::int64_t row = first_row + tile_row;
    const int channel = first_channel + tile_channel;
    if (row >= p.rows || channel >= p.cout) return;
    if (p.bias != nullptr) sum += p.bias[channel];
    if (p.relu && sum < 0.0f) sum = 0.0f;
    p.y[row * p.y_pitch + channel] = narrow<T>(sum);
  });
}

/// The largest of 16, 8, 4 and 2 that divides the address and the pitch.
template <typename T>
int copy_bytes_of(const ConstView& x) {
  const auto bits =
      reinterpret_cast<std::uintptr_t>(x.data) | static_cast<std::uintptr_t>(x.pitch) * sizeof(T);
  return bits % 16 == 0 ? 16 : bits % 8 == 0 ? 8 : bits % 4 == 0 ? 4 : 2;
}

template <typename T>
GemmProblem<T> problem_of(const ConvForwardArgs& args) {
  const char* op = "conv_forward";
  const ConvGeometry& g = args.geometry;
  return {args.x.as<T>(),
          static_cast<const T*>(args.packed),
          static_cast<const float*>(args.bias),
          args.y.as<T>(),
          args.x.pitch,
          args.y.pitch,
          args.y.rows(),
          narrowed(op, args.x.h),
          narrowed(op, args.x.w),
          narrowed(op, args.y.w),
          narrowed(op, args.y.h * args.y.w),
          narrowed(op, g.cin),
          narrowed(op, g.cout),
          narrowed(op, packed_row_elems(g.cin, args.x.dtype)),
          narrowed(op, g.kernel),
          narrowed(op, g.stride),
          narrowed(op, g.padding),
          copy_bytes_of<T>(args.x),
          args.relu};
}

/// The problems of type T with lowest <= cout <= highest, in launches over one tile.
template <MathMode kMode, typename Tile, typename T>
void run(const Context& context, std::span<const ConvForwardArgs> group, std::int64_t lowest,
         std::int64_t highest) {
  in_batches<GemmProblem<T>>(
      context, group,
      [&](const ConvForwardArgs& args) {
        return args.x.dtype == kDeviceDType<T> && args.geometry.cout >= lowest &&
               args.geometry.cout <= highest;
      },
      [](const ConvForwardArgs& args, void*) { return problem_of<T>(args); },
      [&](std::span<const GemmProblem<T>> problems) {
        launch_over(context, implicit_gemm_kernel<kMode, Tile, T>, problems, Tile::kThreads,
                    [](const GemmProblem<T>& p) { return p.template blocks<Tile>(); });
      });
}

template <MathMode kMode, typename T>
void run_all_tiles(const Context& context, std::span<const ConvForwardArgs> group) {
  run<kMode, GemmTile<2, 1>, T>(context, group, 1, 8);
  run<kMode, GemmTile<2, 2>, T>(context, group, 9, 16);
  run<kMode, GemmTile<2, 4>, T>(context, group, 17, 32);
  run<kMode, GemmTile<1, 8>, T>(context, group, 33, 0x7FFFFFFF);
}

}  // namespace

void conv_forward(Context& context, std::span<const ConvForwardArgs> group) {
  for (const ConvForwardArgs& args : group) {
    check_dtype("conv_forward", args.x.dtype, DTypes<float, bfloat16>{});
  }
  if (context.allow_tf32) {
    run_all_tiles<MathMode::tf32, float>(context, group);
  } else {
    run_all_tiles<MathMode::tf32x3, float>(context, group);
  }
  run_all_tiles<MathMode::bf16, bfloat16>(context, group);
}

}  // namespace msd::cuda
