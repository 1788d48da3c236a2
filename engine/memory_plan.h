// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

namespace msd {

/// A block of memory needed from step `first` to step `last`, both included.
struct MemoryRequest {
  std::int64_t bytes = 0;
  std::int64_t first = 0, last = 0;
};

struct MemoryPlan {
  std::vector<std::int64_t> offsets;  // one a request, multiples of 64 bytes
  std::int64_t total_bytes = 0;
};

/// Places requests in one arena so that two that live at the same time never overlap: largest
/// first, each at the lowest gap it fits (greedy by size; Pisarchyk & Lee, arXiv 2001.03288).
MemoryPlan plan_memory(const std::vector<MemoryRequest>& requests);

}  // namespace msd
