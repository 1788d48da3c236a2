// SPDX-License-Identifier: MIT
// Kernel launches of the emulated device.
#pragma once

#include <cuda_runtime.h>

#include <memory>

#include "tests/emulation/site.h"

namespace msd::emulation {

struct Launch {
  dim3 grid, block;
  std::size_t dynamic_shared_bytes = 0;
  const void* function = nullptr;
  void (*run_thread)(const void*) = nullptr;  // one thread of the kernel
  std::shared_ptr<const void> arguments;
  Site site = {};
};

/// Checks the launch as the driver would, and leaves it to the stream.
cudaError_t enqueue(cudaStream_t stream, const Launch& launch);

/// What uninitialised memory holds.
unsigned char poison_byte();

}  // namespace msd::emulation
