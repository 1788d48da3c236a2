// SPDX-License-Identifier: MIT
#include "engine/device_allocator.h"

namespace msd {

void DeviceAllocator::copy(void* to, const void* from, std::int64_t bytes) {
  if (bytes <= 0) return;
  stream_.copy(to, from, bytes);
  stream_.synchronize();
}

}  // namespace msd
