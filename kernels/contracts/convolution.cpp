// SPDX-License-Identifier: MIT
#include "kernels/contracts/convolution.h"

#include <algorithm>

#include "kernels/cpu/conv_limits.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/error.h"

namespace msd {

std::int64_t conv_backward_weight_workspace_bytes(const ConvGeometry& geometry, std::int64_t n,
                                                  std::int64_t h, std::int64_t w, DType dtype) {
  return cpu::weight_gradient_chunks(geometry, n, h, w) *
         cpu::weight_gradient_partial_elems(geometry) * size_bytes(accumulator_of(dtype));
}

namespace cpu {

void require_cpu_dtype(const char* op, DType dtype) {
  MSD_CHECK(dtype == DType::f32 || dtype == DType::f64, op, ": ", name(dtype),
            " on the CPU; bf16 is for CUDA, use f32");
}

void throw_scratch_too_small(const char* op, const ConstView& source, const ConvGeometry& g,
                             std::int64_t bytes) {
  throw ShapeError(message(op, ": one output row of ", source, " with kernel ", g.kernel,
                           ", stride ", g.stride, ", padding ", g.padding, " needs ", bytes,
                           " bytes of scratch, a thread has ", ThreadPool::kScratchBytes));
}

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

}  // namespace cpu
}  // namespace msd
