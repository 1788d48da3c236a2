// SPDX-License-Identifier: MIT
// conv_forward: y = [relu](conv(x, w) [+ bias]), implicit GEMM on the tensor cores
//   (implicit_gemm.cu).
// Layout: x and y NHWC rows with a pitch, slices at any element; w from conv_pack, rows of 16
//   bytes. 16-, 8- or 4-byte asynchronous copies as x's addresses allow; bf16 at odd elements by
//   single elements.
// Accumulation: float. Factors: bf16; f32 as three tf32 products (error of a product about 2^-22;
//   an infinite factor gives NaN), or as one with allow_tf32 (2^-11).
// Deterministic and batch-invariant: K in one order, whatever n and the place in the batch.
// Launch: blocks of 128 threads, a tile of 128 rows x 8, 16 or 32 channels (64 x 64 from 33
//   channels on); one launch for up to 8 problems whose tiles are alike.
// Bytes: x once a channel tile (with a stride, other taps again from L2), w once a row tile, y
//   once; with statistics 8 for the 128 or 64 rows of a tile and channel, which spare
//   batchnorm_forward a pass over y. FLOPs: 2*rows*cout*taps*cin, three times as many tensor-core
//   ones for f32. Never ran on a GPU yet.
#include "kernels/cuda/convolution/implicit_gemm.cuh"
#include "kernels/cuda/device/ops.h"
#include "kernels/libraries/by_algorithm.h"

namespace msd::cuda {
namespace {

void handwritten(Context& context, std::span<const ConvForwardArgs> group) {
  by_implicit_gemm<ConvPass::forward>(
      "conv_forward", context, group, &ConvForwardArgs::x, &ConvForwardArgs::y,
      [](const ConvForwardArgs& args, auto& problem) {
        problem.bias = static_cast<const float*>(args.bias);
        problem.relu = args.relu;
        if (args.statistics == nullptr) return;
        problem.statistics = static_cast<float*>(args.statistics->data);
      });
  for (const ConvForwardArgs& args : group) {
    if (args.statistics != nullptr) args.statistics->of = args.y;
  }
}

}  // namespace

void conv_forward(Context& context, std::span<const ConvForwardArgs> group) {
  by_algorithm(context, group, handwritten);
}

}  // namespace msd::cuda
