// SPDX-License-Identifier: MIT
#include "tests/emulation/scheduler.h"

#include "tests/emulation/async_copies.h"
#include "tests/emulation/fiber.h"
#include "tests/emulation/ready_set.h"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace msd::emulation {
namespace {

constexpr unsigned kMaxThreads = 1024, kMaxWarps = kMaxThreads / 32;

/// What a thread waits for.
struct Wait {
  const char* operation = nullptr;  // nullptr: nothing
  Site site = {};
};

/// Addresses that stand for barriers in TSan's eyes. A thread may have passed the next one when
/// another is still leaving this one, hence two in turns; and blocks must not meet in one, hence
/// other two for the next blocks.
class SyncPoints {
 public:
  void next_block() { block_ = (block_ + 1) % kBlocks; }
  void next() { ++generation_; }
  void* current() { return &points_[block_][generation_ % 2]; }

 private:
  static constexpr unsigned kBlocks = 16;
  char points_[kBlocks][2] = {};
  unsigned block_ = 0, generation_ = 0;
};

struct Thread {
  Fiber fiber;
  uint3 index = {};
  Wait wait;
  AsyncCopies copies;
};

struct Warp {
  unsigned members = 0, exited = 0, arrived = 0;
  Wait wait;  // of those that arrived
  Lanes lanes = {};
  SyncPoints sync;
};

struct Block {
  const BlockRun* run = nullptr;
  unsigned threads = 0, exited = 0;
  unsigned at_barrier = 0;
  Site barrier = {};
  SyncPoints sync;
  char start = 0;  // address that stands for what the host did before the block
  bool failed = false;
  char error[1024] = {};
};

Thread threads[kMaxThreads];
Warp warps[kMaxWarps];
Block block;
ReadySet ready;
Fiber host;
unsigned current = 0;  // index of the running thread

Thread& self() { return threads[current]; }
bool same(const Site& a, const Site& b) {
  return a.line == b.line && (a.file == b.file || __builtin_strcmp(a.file, b.file) == 0);
}
Warp& own_warp() { return warps[current / 32]; }

void resume(unsigned index, bool leaving) {
  Fiber& from = self().fiber;
  current = index;
  threadIdx = threads[index].index;
  switch_fiber(from, threads[index].fiber, leaving);
}

[[noreturn]] void leave_for_host() {
  switch_fiber(self().fiber, host, true);
  __builtin_unreachable();
}

/// Appends "12 threads wait in shuffle at FILE:LINE" for every place where threads wait.
void describe_waits(char* text, std::size_t size) {
  std::size_t used = 0;
  bool told[kMaxThreads] = {};
  for (unsigned i = 0; i < block.threads && used < size; ++i) {
    const Wait& wait = threads[i].wait;
    if (told[i] || wait.operation == nullptr) continue;
    unsigned count = 0;
    for (unsigned k = i; k < block.threads; ++k) {
      const Wait& other = threads[k].wait;
      if (other.operation != wait.operation || other.site.line != wait.site.line) continue;
      told[k] = true;
      ++count;
    }
    used += static_cast<std::size_t>(__builtin_snprintf(
        text + used, size - used, "; %u wait in %s at %s:%d (the first is thread %u)", count,
        wait.operation, wait.site.file, wait.site.line, i));
  }
}

/// Runs another thread; returns when this one is picked, which may be at once.
void yield() {
  const int next = ready.pick(current);
  if (next < 0) {
    char waits[700] = {};
    describe_waits(waits, sizeof(waits));
    fail("deadlock: %u of %u threads have left the kernel%s", block.exited, block.threads, waits);
  }
  if (static_cast<unsigned>(next) == current) return;
  resume(static_cast<unsigned>(next), false);
}

void check_exit() {
  if (block.at_barrier > 0) {
    fail("thread %u left the kernel while %u threads wait in block_sync at %s:%d", current,
         block.at_barrier, block.barrier.file, block.barrier.line);
  }
  const Warp& warp = own_warp();
  if (warp.arrived != 0) {
    fail("thread %u left the kernel while its warp waits in %s at %s:%d", current,
         warp.wait.operation, warp.wait.site.file, warp.wait.site.line);
  }
}

void thread_main() {
  acquire(&block.start);
  block.run->body(block.run->argument);
  check_exit();
  release(&block);
  own_warp().exited |= 1u << current % 32;
  if (++block.exited == block.threads) leave_for_host();
  const int next = ready.pick(current);
  if (next < 0) yield();  // reports the deadlock
  resume(static_cast<unsigned>(next), true);
}

void start_block(const BlockRun& run) {
  const unsigned count = run.block.x * run.block.y * run.block.z;
  block.run = &run;
  block.threads = count;
  block.exited = block.at_barrier = 0;
  block.failed = false;
  block.sync.next_block();
  blockIdx = {run.index.x, run.index.y, run.index.z};
  blockDim = run.block;
  gridDim = run.grid;
  for (unsigned w = 0; w * 32 < count; ++w) {
    const unsigned lanes = count - w * 32;
    warps[w].members = lanes >= 32 ? ~0u : (1u << lanes) - 1;
    warps[w].exited = warps[w].arrived = 0;
    warps[w].sync.next_block();
  }
  for (unsigned i = 0; i < count; ++i) {
    threads[i].index = {i % run.block.x, i / run.block.x % run.block.y,
                        i / (run.block.x * run.block.y)};
    threads[i].wait = {};
    threads[i].copies.clear();
    prepare_fiber(threads[i].fiber, thread_main);
  }
  ready.start(run.order, run.seed, count);
  release(&block.start);
}

}  // namespace

const char* run_block(const BlockRun& run) {
  host = Fiber{};
  start_block(run);
  const int first = ready.pick(run.order == Order::reverse ? 0 : block.threads - 1);
  current = static_cast<unsigned>(first);
  threadIdx = threads[first].index;
  switch_fiber(host, threads[first].fiber, false);
  for (unsigned i = 0; i < block.threads; ++i) {
    Fiber& fiber = threads[i].fiber;
    if (block.failed) {  // stopped in the middle
      impersonate(fiber);
      release(&block);
      impersonate(host);
    }
    retire_fiber(fiber, block.failed);
  }
  return block.failed ? block.error : nullptr;
}

void join_threads() { acquire(&block); }

void fail(const char* format, ...) {
  const dim3& grid = block.run->grid;
  const int used = __builtin_snprintf(block.error, sizeof(block.error),
                                      "block (%u,%u,%u) of (%u,%u,%u): ", blockIdx.x, blockIdx.y,
                                      blockIdx.z, grid.x, grid.y, grid.z);
  __builtin_va_list arguments;
  __builtin_va_start(arguments, format);
  __builtin_vsnprintf(block.error + used, sizeof(block.error) - static_cast<std::size_t>(used),
                      format, arguments);
  __builtin_va_end(arguments);
  block.failed = true;
  leave_for_host();
}

void block_barrier(Site site) {
  if (block.exited > 0) {
    fail("thread %u is in block_sync at %s:%d, but %u threads have left the kernel", current,
         site.file, site.line, block.exited);
  }
  if (own_warp().arrived != 0) {
    const Wait& wait = own_warp().wait;
    fail("thread %u is in block_sync at %s:%d, but its warp waits in %s at %s:%d", current,
         site.file, site.line, wait.operation, wait.site.file, wait.site.line);
  }
  if (block.at_barrier == 0) block.barrier = site;
  if (!same(site, block.barrier)) {
    fail("divergent barrier: thread %u is in block_sync at %s:%d, %u threads at %s:%d", current,
         site.file, site.line, block.at_barrier, block.barrier.file, block.barrier.line);
  }
  void* sync = block.sync.current();
  release(sync);
  if (++block.at_barrier == block.threads) {
    block.at_barrier = 0;
    block.sync.next();
    for (unsigned i = 0; i < block.threads; ++i) threads[i].wait = {};
    ready.add_all();
  } else {
    self().wait = {"block_sync", site};
  }
  yield();
  acquire(sync);
}

void warp_collective(const char* operation, Site site, Compute compute, const void* in, void* out,
                     bool orders_memory) {
  Warp& warp = own_warp();
  const unsigned lane = current % 32;
  if (warp.members != ~0u) {
    fail("%s at %s:%d in a warp of fewer than 32 threads", operation, site.file, site.line);
  }
  if (warp.exited != 0) {
    fail("thread %u is in %s at %s:%d, but lanes 0x%x have left the kernel", current, operation,
         site.file, site.line, warp.exited);
  }
  if (warp.arrived == 0) warp.wait = {operation, site};
  const Wait& first = warp.wait;
  if (first.operation != operation || !same(first.site, site)) {
    fail("thread %u is in %s at %s:%d, but lanes 0x%x of its warp in %s at %s:%d", current,
         operation, site.file, site.line, warp.arrived, first.operation, first.site.file,
         first.site.line);
  }
  warp.lanes.in[lane] = in;
  warp.lanes.out[lane] = out;
  warp.arrived |= 1u << lane;
  void* sync = warp.sync.current();
  if (orders_memory) release(sync);
  if (warp.arrived == ~0u) {
    ignore_accesses(true);
    if (compute != nullptr) compute(warp.lanes);
    ignore_accesses(false);
    warp.arrived = 0;
    warp.sync.next();
    for (unsigned i = current - lane; i <= current - lane + 31; ++i) threads[i].wait = {};
    ready.add_warp(current / 32);
  } else {
    self().wait = {operation, site};
  }
  yield();
  if (orders_memory) acquire(sync);
}

int lane_of_thread() { return static_cast<int>(current % 32); }

void post_async_copy(const AsyncCopy& copy) {
  if (!self().copies.post(copy))
    fail("thread %u has more than %u copies in flight", current, AsyncCopies::kMost);
}
void end_async_group() { self().copies.end_group(); }
bool take_async_copy(unsigned pending_groups, AsyncCopy& copy) {
  return self().copies.take(pending_groups, copy);
}

void as_host(void (*work)(void*), void* argument) {
  impersonate(host);
  work(argument);
  impersonate(self().fiber);
}

}  // namespace msd::emulation
