// SPDX-License-Identifier: MIT
// conv_backward_data: dx (+)= conv^T(dy, w), implicit GEMM on the tensor cores (implicit_gemm.cu):
//   dx[i] = sum over taps k with i + padding = o*stride + k, and over cout, of dy[o]*w[k].
// Layout: dy and dx NHWC rows with a pitch, slices at any element; w from conv_pack, pass
//   backward_data, rows of 16 bytes.
// With a stride the positions of dx fall into stride*stride phases, each with a subset of the taps
//   and tiles of its own in the one launch. A phase without taps writes zeros.
// Accumulation: float, rounded once, also where it is added to dx. Factors: as conv_forward.
// Deterministic and batch-invariant: K in one order, whatever n and the place in the batch.
// Launch: blocks of 128 threads, a tile of 128 rows x 8, 16 or 32 channels of dx (64 x 64 from 33
//   channels on); one launch for up to 8 problems whose tiles are alike.
// Bytes: dy once a channel tile (with a stride, other taps and phases again from L2), w once a row
//   tile, dx once (read and written with accumulate). FLOPs: 2*rows of dy*cout*taps*cin, three
//   times as many tensor-core ones for f32. Never ran on a GPU yet.
#include "kernels/cuda/convolution/implicit_gemm.cuh"
#include "kernels/cuda/device/ops.h"
#include "kernels/libraries/by_algorithm.h"

namespace msd::cuda {
namespace {

void handwritten(Context& context, std::span<const ConvBackwardDataArgs> group) {
  by_implicit_gemm<ConvPass::backward_data>("conv_backward_data", context, group,
                                            &ConvBackwardDataArgs::dy, &ConvBackwardDataArgs::dx,
                                            [](const ConvBackwardDataArgs& args, auto& problem) {
                                              problem.accumulate = args.accumulate;
                                            });
}

}  // namespace

void conv_backward_data(Context& context, std::span<const ConvBackwardDataArgs> group) {
  by_algorithm(context, group, handwritten);
}

}  // namespace msd::cuda
