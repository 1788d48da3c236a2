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

#include "kernels/cuda/context.h"
#include "kernels/cuda/device_code.cuh"

namespace msd::cuda {

/// Source and target: NHWC rows with a pitch in elements; weight: conv_pack's, of the same pass.
/// target = [relu](conv [+ bias]), or added to what is there.
template <typename T>
struct GemmProblem {
  const T* source;
  const T* weight;
  const float* bias;  // or null
  T* target;
  std::int64_t source_pitch, target_pitch, n;
  int source_h, source_w, target_h, target_w;
  int ins, outs, weight_row_elems;  // channels of source and target
  int kernel, stride, padding;
  int copy_bytes;  // of the source; see copy_bytes_of
  bool transposed, relu, accumulate;

  /// Distance of a phase's neighbouring positions in the target; there are its square of phases.
  __host__ __device__ int target_step() const { return transposed ? stride : 1; }
  __host__ __device__ int source_step() const { return transposed ? 1 : stride; }
};

/// The problems in one launch for each size of tile among them.
template <typename T>
void implicit_gemm(const Context& context, std::span<const GemmProblem<T>> problems);
extern template void implicit_gemm(const Context&, std::span<const GemmProblem<float>>);
extern template void implicit_gemm(const Context&, std::span<const GemmProblem<bfloat16>>);

}  // namespace msd::cuda
