// SPDX-License-Identifier: MIT
// Convolution and its transpose as one implicit GEMM (implicit_gemm.cu): what they hand to it.
//
// Position (y, x) of an image of the target sums, over taps and the source's channels, the source
// at (y*stride - padding + tap) times a weight. The transpose is such a convolution in each of its
// phases: target positions that are alike modulo the stride read one subset of the taps, of
// neighbouring source pixels. So nothing is multiplied by the zeros between them.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/contracts/convolution.h"
#include "kernels/cuda/convolution/packed_weights.cuh"
#include "kernels/cuda/convolution/tensor_core.cuh"
#include "kernels/cuda/device/group.cuh"

namespace msd::cuda {

/// Source and target: NHWC rows with a pitch in elements; weight: conv_pack's, of the same pass.
/// target = [relu](conv [+ bias]), or added to what is there.
template <typename T, ConvPass kPass>
struct GemmProblem {
  const T* source;
  const T* weight;
  const float* bias = nullptr;
  T* target;
  float* statistics = nullptr;  // of the target as stored, where wanted: StatisticsParts; forward
  std::int64_t source_pitch, target_pitch, n;
  int source_h, source_w, target_h, target_w;
  int ins, outs, weight_row_elems;  // channels of source and target
  int kernel, stride, padding;
  int copy_bytes;  // of the source; see copy_bytes_of
  bool relu = false, accumulate = false;

  /// Distance of a phase's neighbouring positions in the target; there are its square of phases.
  __host__ __device__ int target_step() const { return kPass == ConvPass::forward ? 1 : stride; }
  __host__ __device__ int source_step() const { return kPass == ConvPass::forward ? stride : 1; }
};

/// What every problem of op `op` has; bias and flags are the caller's to set.
template <typename T, ConvPass kPass>
GemmProblem<T, kPass> gemm_problem(const char* op, const ConstView& source, const void* packed,
                                   const View& target, const ConvGeometry& geometry) {
  return {.source = source.as<T>(),
          .weight = static_cast<const T*>(packed),
          .target = target.as<T>(),
          .source_pitch = source.pitch,
          .target_pitch = target.pitch,
          .n = target.n,
          .source_h = narrowed(op, source.h),
          .source_w = narrowed(op, source.w),
          .target_h = narrowed(op, target.h),
          .target_w = narrowed(op, target.w),
          .ins = narrowed(op, source.c),
          .outs = narrowed(op, target.c),
          .weight_row_elems = narrowed(op, packed_row_elems(source.c, source.dtype)),
          .kernel = narrowed(op, geometry.kernel),
          .stride = narrowed(op, geometry.stride),
          .padding = narrowed(op, geometry.padding),
          .copy_bytes = copy_bytes_of(source)};
}

/// The problems in one launch for each size of tile among them.
template <typename T, ConvPass kPass>
void implicit_gemm(const Context& context, std::span<const GemmProblem<T, kPass>> problems);
using ForwardGemm = GemmProblem<float, ConvPass::forward>;
using ForwardGemmBf16 = GemmProblem<bfloat16, ConvPass::forward>;
using BackwardGemm = GemmProblem<float, ConvPass::backward_data>;
using BackwardGemmBf16 = GemmProblem<bfloat16, ConvPass::backward_data>;
extern template void implicit_gemm(const Context&, std::span<const ForwardGemm>);
extern template void implicit_gemm(const Context&, std::span<const ForwardGemmBf16>);
extern template void implicit_gemm(const Context&, std::span<const BackwardGemm>);
extern template void implicit_gemm(const Context&, std::span<const BackwardGemmBf16>);

/// An op as implicit GEMM from its member `source` to its member `target`; describe(args, problem)
/// sets what gemm_problem leaves.
template <ConvPass kPass, typename Args, typename Describe>
void by_implicit_gemm(const char* op, const Context& context, std::span<const Args> group,
                      ConstView Args::*source, View Args::*target, Describe describe) {
  by_dtype(
      op, TensorCoreTypes{}, context, group, source,
      [&]<typename T>(const Args& args, void*) {
        auto problem =
            gemm_problem<T, kPass>(op, args.*source, args.packed, args.*target, args.geometry);
        describe(args, problem);
        return problem;
      },
      [&]<typename T>(std::span<const GemmProblem<T, kPass>> problems) {
        implicit_gemm(context, problems);
      });
}

}  // namespace msd::cuda
