// SPDX-License-Identifier: MIT
#include "kernels/cuda/device.h"

namespace msd::cuda {

bool compiled_in() { return false; }
std::vector<DeviceInfo> devices() { return {}; }

}  // namespace msd::cuda
