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
#include "kernels/cuda/device/group.cuh"
#include "kernels/cuda/device/ops.h"
#include "kernels/libraries/by_algorithm.h"

namespace msd::cuda {
namespace {

constexpr const char* kOp = "conv_forward";
using ConvTypes = DTypes<float, bfloat16>;
template <typename T>
using Gemm = GemmProblem<T, ConvPass::forward>;

template <typename T>
Gemm<T> problem_of(const ConvForwardArgs& args, void*) {
  Gemm<T> p = gemm_problem<T, ConvPass::forward>(kOp, args.x, args.packed, args.y, args.geometry);
  p.bias = static_cast<const float*>(args.bias);
  p.relu = args.relu;
  if (args.statistics != nullptr) p.statistics = static_cast<float*>(args.statistics->data);
  return p;
}

void handwritten(Context& context, std::span<const ConvForwardArgs> group) {
  for (const ConvForwardArgs& args : group) check_dtype(kOp, args.x.dtype, ConvTypes{});
  for_each_dtype(ConvTypes{}, [&]<typename T>() {
    in_batches<Gemm<T>>(
        context, group, [](const ConvForwardArgs& args) { return args.x.dtype == kDeviceDType<T>; },
        problem_of<T>,
        [&](std::span<const Gemm<T>> problems) { implicit_gemm(context, problems); });
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
