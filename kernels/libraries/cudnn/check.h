// SPDX-License-Identifier: MIT
// Turns the libraries' error codes into exceptions, which stay inside the plugin.
#pragma once

#include <cublasLt.h>
#include <cudnn.h>

#include "kernels/check.h"

namespace msd::cudnn {

/// Both throw CudaError: what was called, the error's name, what the library adds, where.
inline void check(cudnnStatus_t status, const char* call, const char* file, int line) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  char details[512] = "";
  cudnnGetLastErrorString(details, sizeof(details));
  throw CudaError(message(call, ": ", cudnnGetErrorString(status), ": ", details),
                  message(file, ":", line));
}
inline void check(cublasStatus_t status, const char* call, const char* file, int line) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw CudaError(
      message(call, ": ", cublasLtGetStatusName(status), ": ", cublasLtGetStatusString(status)),
      message(file, ":", line));
}

}  // namespace msd::cudnn

#define MSD_CUDNN_CHECK(call) ::msd::cudnn::check((call), #call, __FILE__, __LINE__)
#define MSD_CUBLAS_CHECK(call) ::msd::cudnn::check((call), #call, __FILE__, __LINE__)
