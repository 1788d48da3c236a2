// SPDX-License-Identifier: MIT
#include "kernels/cuda/device.h"

#include <cuda_runtime.h>

#include "kernels/cuda/check.h"
#include "kernels/cuda/context.h"

namespace msd::cuda {

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

void finish_op(const Context& context, const char* op) {
  if (context.blocking) check(cudaStreamSynchronize(context.stream), op, __FILE__, __LINE__);
}

}  // namespace msd::cuda
