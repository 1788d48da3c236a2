// SPDX-License-Identifier: MIT
// Turns CUDA's error codes into exceptions. For sources of the CUDA backend only, as it includes
// cuda_runtime.h.
#pragma once

#include <cuda_runtime.h>

#include "kernels/check.h"

namespace msd::cuda {

/// Throws CudaError where `status` is an error: what was called, the error's name and text, where.
inline void check(cudaError_t status, const char* call, const char* file, int line) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // an error that does not stick is reported once
  throw CudaError(message(call, ": ", cudaGetErrorName(status), ": ", cudaGetErrorString(status)),
                  message(file, ":", line));
}

}  // namespace msd::cuda

#define MSD_CUDA_CHECK(call) ::msd::cuda::check((call), #call, __FILE__, __LINE__)
