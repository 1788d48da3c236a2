// SPDX-License-Identifier: MIT
#include "kernels/cpu/convolution/conv_limits.h"

#include "kernels/check.h"
#include "kernels/cpu/device/thread_pool.h"

namespace msd::cpu {

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

}  // namespace msd::cpu
