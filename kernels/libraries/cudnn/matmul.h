// SPDX-License-Identifier: MIT
// One product of matrices by cuBLASLt, planned. Never ran on a GPU yet.
#pragma once

#include "kernels/cuda/device/handle.h"
#include "kernels/libraries/cudnn/check.h"

namespace msd::cudnn {

inline void destroy_matmul(cublasLtMatmulDesc_t desc) noexcept { cublasLtMatmulDescDestroy(desc); }
inline void destroy_layout(cublasLtMatrixLayout_t layout) noexcept {
  cublasLtMatrixLayoutDestroy(layout);
}

/// d = [epilogue](op(a)*op(b)) or d += op(a)*op(b), as cuBLASLt sees matrices: columns in a row.
struct Matmul {
  cuda::UniqueHandle<cublasLtMatmulDesc_t, destroy_matmul> description;
  cuda::UniqueHandle<cublasLtMatrixLayout_t, destroy_layout> a, b, d;
  cublasLtMatmulAlgo_t algorithm = {};
  std::int64_t workspace_bytes = 0;
  bool accumulate = false;
};

}  // namespace msd::cudnn
