// SPDX-License-Identifier: MIT
// A CUDA device emulated on one CPU thread, for tests: kernels compiled as plain C++ against the
// stand-in headers in include/. It is slow and strict. Where the CUDA runtime leaves an order open,
// it takes one that hides nothing:
//   - Work on a stream runs when somebody waits for it, streams in random turns.
//   - No stream waits for another but through events; nor does the default stream.
//   - Memory starts as poison, as do shared memory and the targets of copies in flight.
//   - Blocks run one after another, threads in one of four orders (scheduler.h).
// What a kernel does wrong is cudaErrorLaunchFailure from the next call that waits, with file and
// line in cudaGetErrorString; it sticks, as on a GPU, until reset(). Not seen: bank conflicts,
// registers, memory order, host pointers in kernels, blocks that wait for each other.
// All calls come from one thread at a time.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "tests/emulation/scheduler.h"

namespace msd::emulation {

struct Settings {
  Order order = Order::forward;
  std::uint64_t seed = 1;
  unsigned char poison = 0xFF;
};

const Settings& settings();
/// For all that runs from now on; restarts the random numbers.
void configure(const Settings& settings);

/// Forgets a sticky error and all work that has not run. Streams, events and memory stay.
void reset();

/// Threads of kernels that have run so far.
std::int64_t threads_run();

/// Device allocations not yet freed, for tests that look for leaks.
std::int64_t live_allocations();

}  // namespace msd::emulation
