// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

namespace msd::cuda {

struct DeviceInfo {
  int index = 0;
  std::string name;
  int compute_major = 0, compute_minor = 0;
  std::size_t memory_bytes = 0;
};

/// True where this build holds the CUDA backend.
bool compiled_in();

/// The GPUs the driver shows; empty where there is none, no driver, or no CUDA in this build.
std::vector<DeviceInfo> devices();

/// Throws ConfigError where this build's kernels cannot run on the GPU, naming what it is and what
/// they were compiled for.
void require_code_for(int device);

}  // namespace msd::cuda
