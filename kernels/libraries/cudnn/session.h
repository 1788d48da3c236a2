// SPDX-License-Identifier: MIT
// What the plugin keeps for one stream: library handles, and plans by problem.
#pragma once

#include <cuda_runtime_api.h>

#include <map>
#include <vector>

#include "kernels/libraries/cudnn/backend.h"
#include "kernels/libraries/cudnn/matmul.h"

namespace msd::cudnn {

inline void destroy_cudnn(cudnnHandle_t handle) noexcept { cudnnDestroy(handle); }
inline void destroy_cublas(cublasLtHandle_t handle) noexcept { cublasLtDestroy(handle); }

struct Session {
  explicit Session(cudaStream_t stream_) : stream(stream_) {
    cudnnHandle_t made = nullptr;
    MSD_CUDNN_CHECK(cudnnCreate(&made));
    cudnn = decltype(cudnn)(made);
    MSD_CUDNN_CHECK(cudnnSetStream(made, stream));
    cublasLtHandle_t made_too = nullptr;
    MSD_CUBLAS_CHECK(cublasLtCreate(&made_too));
    cublas = decltype(cublas)(made_too);
  }

  cudaStream_t stream;
  cuda::UniqueHandle<cudnnHandle_t, destroy_cudnn> cudnn;
  cuda::UniqueHandle<cublasLtHandle_t, destroy_cublas> cublas;
  // Plans in the order they are run.
  std::map<cuda::AlgorithmKey, std::vector<CompiledGraph>> graphs;
  std::map<cuda::AlgorithmKey, std::vector<Matmul>> matmuls;
};

// Make plans for a problem that needs at most so many bytes of workspace; throw where there is
// none.
std::vector<CompiledGraph> compile_convolution(const Session& session,
                                               const cuda::AlgorithmKey& key,
                                               std::int64_t most_bytes);
std::vector<CompiledGraph> compile_batchnorm(const Session& session, const cuda::AlgorithmKey& key,
                                             std::int64_t most_bytes);
std::vector<Matmul> plan_matmuls(const Session& session, const cuda::AlgorithmKey& key,
                                 std::int64_t most_bytes);
// Submit what was planned.
void run_convolution(const Session& session, const cuda::AlgorithmKey& key,
                     const std::vector<CompiledGraph>& graphs, const cuda::Operands& operands);
void run_batchnorm(const Session& session, const cuda::AlgorithmKey& key,
                   const std::vector<CompiledGraph>& graphs, const cuda::Operands& operands);
void run_matmuls(const Session& session, const cuda::AlgorithmKey& key,
                 const std::vector<Matmul>& matmuls, const cuda::Operands& operands);

}  // namespace msd::cudnn
