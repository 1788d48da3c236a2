// SPDX-License-Identifier: MIT
#include "kernels/cuda/device/device.h"

#include <cuda_runtime.h>

#include "kernels/cuda/device/check.h"
#include "kernels/cuda/device/context.h"
#include "kernels/cuda/device/device_code.cuh"

#ifndef MSD_CUDA_ARCHITECTURES
#define MSD_CUDA_ARCHITECTURES "unknown architectures"
#endif

namespace msd::cuda {
namespace {

/// Stands for all kernels, which are compiled for the same architectures.
__global__ void probe_kernel() {}

}  // namespace

bool compiled_in() { return true; }

std::vector<DeviceInfo> devices() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    cudaGetLastError();  // no driver or no GPU is an answer here, not an error to keep
    return {};
  }
  std::vector<DeviceInfo> found;
  for (int index = 0; index < count; ++index) {
    cudaDeviceProp properties;
    if (cudaGetDeviceProperties(&properties, index) != cudaSuccess) continue;
    found.push_back(
        {index, properties.name, properties.major, properties.minor, properties.totalGlobalMem});
  }
  return found;
}

void require_code_for(int device) {
  cudaFuncAttributes attributes;
  const cudaError_t status =
      cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(probe_kernel));
  if (status == cudaSuccess) return;
  cudaGetLastError();
  cudaDeviceProp gpu;
  MSD_CUDA_CHECK(cudaGetDeviceProperties(&gpu, device));
  throw ConfigError(message("GPU ", device, " (", gpu.name, ") has compute capability ", gpu.major,
                            ".", gpu.minor, ", for which this build has no code (it has ",
                            MSD_CUDA_ARCHITECTURES, "): ", cudaGetErrorString(status),
                            "; build with -DMSD_CUDA_ARCHITECTURES=", gpu.major, gpu.minor));
}

void finish_op(const Context& context, const char* op) {
  if (context.blocking) check(cudaStreamSynchronize(context.stream), op, __FILE__, __LINE__);
}

}  // namespace msd::cuda
