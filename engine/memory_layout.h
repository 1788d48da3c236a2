// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace msd {

/// A block of memory needed from step `first` to step `last`, both included; below 0: at none yet.
struct MemoryRequest {
  std::int64_t bytes = 0;
  std::int64_t first = -1, last = -1;

  bool used() const { return last >= 0; }
  /// It is needed at this step too. step >= 0.
  void touch(std::int64_t step) {
    first = used() ? std::min(first, step) : step;
    last = std::max(last, step);
  }
};

struct MemoryLayout {
  std::vector<std::int64_t> offsets;  // one a request, multiples of 64 bytes; 0 where never used
  std::int64_t total_bytes = 0;
};

/// Places requests in one arena so that two that live at the same time never overlap: largest
/// first, each at the lowest gap it fits (greedy by size; Pisarchyk & Lee, arXiv 2001.03288).
MemoryLayout lay_out_memory(const std::vector<MemoryRequest>& requests);

}  // namespace msd
