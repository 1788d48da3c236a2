// SPDX-License-Identifier: MIT
#include "engine/memory_layout.h"

#include <algorithm>
#include <numeric>

#include "kernels/view.h"

namespace msd {

MemoryLayout lay_out_memory(const std::vector<MemoryRequest>& requests) {
  constexpr std::int64_t kAlign = 64;
  MemoryLayout layout;
  layout.offsets.assign(requests.size(), 0);
  std::vector<std::size_t> order(requests.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return requests[a].bytes > requests[b].bytes;
  });
  std::vector<std::size_t> placed;  // by rising offset
  for (const std::size_t id : order) {
    const MemoryRequest& request = requests[id];
    if (!request.used()) continue;
    const std::int64_t bytes = round_up(request.bytes, kAlign);
    std::int64_t offset = 0;
    for (const std::size_t other : placed) {
      const MemoryRequest& o = requests[other];
      if (o.first > request.last || request.first > o.last) continue;
      if (layout.offsets[other] >= offset + bytes) break;
      offset = std::max(offset, layout.offsets[other] + round_up(o.bytes, kAlign));
    }
    layout.offsets[id] = offset;
    layout.total_bytes = std::max(layout.total_bytes, offset + bytes);
    const auto at = std::upper_bound(
        placed.begin(), placed.end(), id,
        [&](std::size_t a, std::size_t b) { return layout.offsets[a] < layout.offsets[b]; });
    placed.insert(at, id);
  }
  return layout;
}

}  // namespace msd
