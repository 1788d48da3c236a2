// SPDX-License-Identifier: MIT
// The execution model of one thread block: its threads are fibers of one OS thread that run until
// they wait, at a barrier or in a collective of their warp. The scheduler and the collectives are
// compiled without sanitizers, so that what they do between a kernel's threads creates neither
// races nor orderings that the GPU does not have; they allocate nothing and use no templates of
// the standard library, whose instances they would share with sanitized code.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "tests/emulation/site.h"

namespace msd::emulation {

/// In which order ready threads run.
enum class Order : std::uint8_t {
  forward,  // by index, each in turn
  reverse,
  random,  // any, and any block
  unfair,  // warps have random priorities: one runs as far ahead of the others as it can
};

struct BlockRun {
  dim3 grid, block, index;
  void (*body)(const void*) = nullptr;  // one thread of the kernel; must not throw
  const void* argument = nullptr;
  Order order = Order::forward;
  std::uint64_t seed = 0;
};

/// Runs a block to its end. Returns nullptr, or what went wrong; the text lasts until the next run.
const char* run_block(const BlockRun& run);

/// What the threads of the blocks since the last call did happened before what follows. Not between
/// the blocks of a launch: they are not ordered.
void join_threads();

/// Ends the running block with an error; for threads of a kernel only.
[[noreturn]] __attribute__((format(printf, 1, 2))) void fail(const char* format, ...);

void block_barrier(Site site);

/// The arguments of a warp's lanes, each in the memory of its own thread.
struct Lanes {
  const void* in[32];
  void* out[32];
};
using Compute = void (*)(const Lanes&);

/// Waits until all 32 lanes have called this with one operation from one line; then compute(lanes)
/// runs once. `orders_memory` says whether the lanes' earlier writes are seen by all after it.
void warp_collective(const char* operation, Site site, Compute compute, const void* in, void* out,
                     bool orders_memory = false);
int lane_of_thread();

/// A started copy and what it will write.
struct AsyncCopy {
  void* to;
  unsigned bytes;
  alignas(16) unsigned char data[16];
};
/// Copies of the calling thread: start, end a group, take one that belongs to none of the last
/// `pending_groups` ended groups (false where there is none).
void post_async_copy(const AsyncCopy& copy);
void end_async_group();
bool take_async_copy(unsigned pending_groups, AsyncCopy& copy);

/// Runs `work` as the thread that launched the kernel, in the sanitizers' eyes.
void as_host(void (*work)(void*), void* argument);
/// What `sync` was released with happened before what follows.
void acquire(void* sync);
void release(void* sync);

}  // namespace msd::emulation
