// SPDX-License-Identifier: MIT
#include "engine/memory_plan.h"

#include <algorithm>
#include <numeric>

#include "kernels/view.h"

namespace msd {

MemoryPlan plan_memory(const std::vector<MemoryRequest>& requests) {
  constexpr std::int64_t kAlign = 64;
  MemoryPlan plan;
  plan.offsets.assign(requests.size(), 0);
  std::vector<std::size_t> order(requests.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return requests[a].bytes > requests[b].bytes;
  });
  std::vector<std::size_t> placed;  // by rising offset
  for (const std::size_t id : order) {
    const MemoryRequest& request = requests[id];
    const std::int64_t bytes = round_up(request.bytes, kAlign);
    std::int64_t offset = 0;
    for (const std::size_t other : placed) {
      const MemoryRequest& o = requests[other];
      if (o.first > request.last || request.first > o.last) continue;
      if (plan.offsets[other] >= offset + bytes) break;
      offset = std::max(offset, plan.offsets[other] + round_up(o.bytes, kAlign));
    }
    plan.offsets[id] = offset;
    plan.total_bytes = std::max(plan.total_bytes, offset + bytes);
    const auto at = std::upper_bound(
        placed.begin(), placed.end(), id,
        [&](std::size_t a, std::size_t b) { return plan.offsets[a] < plan.offsets[b]; });
    placed.insert(at, id);
  }
  return plan;
}

}  // namespace msd
