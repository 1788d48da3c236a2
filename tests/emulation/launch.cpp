// SPDX-License-Identifier: MIT
#include "tests/emulation/launch.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "kernels/check.h"
#include "tests/emulation/device_state.h"
#include "tests/emulation/planting.h"
#include "tests/emulation/shared_memory.h"

namespace msd::emulation {
namespace {

constexpr std::uint64_t kMaxGridX = 0x7FFFFFFF, kMaxGridYZ = 65535;

/// Dynamic shared memory each kernel may have, where it asked for more than the default.
std::map<const void*, std::size_t>& opted_in() {
  static std::map<const void*, std::size_t> bytes;
  return bytes;
}

std::size_t dynamic_limit(const void* function) {
  const auto found = opted_in().find(function);
  return found == opted_in().end() ? kStaticSharedLimit : found->second;
}

std::string show(const dim3& size) { return message("(", size.x, ",", size.y, ",", size.z, ")"); }

/// What the driver would refuse, or nothing.
std::string complaint(const Launch& launch) {
  const dim3 &g = launch.grid, &b = launch.block;
  if (g.x == 0 || g.y == 0 || g.z == 0 || g.x > kMaxGridX || g.y > kMaxGridYZ || g.z > kMaxGridYZ) {
    return "grid of " + show(g) + " blocks";
  }
  const std::uint64_t threads = std::uint64_t{b.x} * b.y * b.z;
  if (threads == 0 || threads > 1024 || b.z > 64) return "block of " + show(b) + " threads";
  const std::size_t limit = dynamic_limit(launch.function);
  if (launch.dynamic_shared_bytes > limit) {
    return message(launch.dynamic_shared_bytes, " bytes of dynamic shared memory, the kernel has ",
                   limit);
  }
  return {};
}

std::vector<std::uint64_t> block_order(std::uint64_t count) {
  std::vector<std::uint64_t> order(count);
  std::iota(order.begin(), order.end(), std::uint64_t{0});
  if (settings().order == Order::forward) return order;
  if (settings().order == Order::reverse) {
    std::reverse(order.begin(), order.end());
    return order;
  }
  for (std::size_t left = order.size(); left > 1; --left) {
    std::swap(order[left - 1], order[device().random.below(left)]);
  }
  return order;
}

cudaError_t run(const Launch& launch) {
  const dim3& grid = launch.grid;
  begin_shared_memory(launch.dynamic_shared_bytes, settings().poison);
  std::string error;
  const std::uint64_t missing = planted(Fault::missing_block, launch.site) ? 1 : 0;
  for (const std::uint64_t i : block_order(std::uint64_t{grid.x} * grid.y * grid.z - missing)) {
    BlockRun block;
    block.grid = grid;
    block.block = launch.block;
    block.index = {static_cast<unsigned>(i % grid.x), static_cast<unsigned>(i / grid.x % grid.y),
                   static_cast<unsigned>(i / grid.x / grid.y)};
    block.body = launch.run_thread;
    block.argument = launch.arguments.get();
    block.order = settings().order;
    block.seed = device().random.below(std::size_t{1} << 62);
    device().threads_run += std::int64_t{block.block.x} * block.block.y * block.block.z;
    begin_block_shared_memory();
    if (const char* text = run_block(block); text != nullptr) {
      join_threads();
      error = text;
      break;
    }
  }
  join_threads();
  end_shared_memory();
  if (error.empty()) return cudaSuccess;
  return report_sticky(cudaErrorLaunchFailure, message("kernel launched at ", launch.site.file, ":",
                                                       launch.site.line, ": ", error));
}

}  // namespace

cudaError_t enqueue(cudaStream_t stream, const Launch& launch) {
  if (const std::string text = complaint(launch); !text.empty()) {
    return report(cudaErrorInvalidConfiguration, text);
  }
  return submit(stream, [launch] { return run(launch); });
}

}  // namespace msd::emulation

using msd::emulation::kSharedLimit;
using msd::emulation::report;

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 ||
      static_cast<std::size_t>(value) > kSharedLimit) {
    return report(
        cudaErrorInvalidValue,
        msd::message(value, " bytes of dynamic shared memory, a block has at most ", kSharedLimit));
  }
  msd::emulation::opted_in()[function] = static_cast<std::size_t>(value);
  return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* function) {
  *attributes = {};
  attributes->maxThreadsPerBlock = 1024;
  attributes->numRegs = 64;
  attributes->maxDynamicSharedSizeBytes = static_cast<int>(msd::emulation::dynamic_limit(function));
  return cudaSuccess;
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void*,
                                                          int block_threads,
                                                          std::size_t dynamic_shared_bytes) {
  if (block_threads < 1 || block_threads > 1024) return report(cudaErrorInvalidValue);
  const std::size_t by_threads = std::size_t{2048} / static_cast<std::size_t>(block_threads);
  const std::size_t by_shared = (kSharedLimit + 1024) / (dynamic_shared_bytes + 1024);
  *blocks = static_cast<int>(std::min({by_threads, by_shared, std::size_t{32}}));
  return cudaSuccess;
}
