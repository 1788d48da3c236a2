// SPDX-License-Identifier: MIT
#include "kernels/cpu/device/thread_pool.h"

#include <cstdlib>
#include <new>

#include "kernels/check.h"

namespace msd::cpu {
namespace {

// Loops follow one another within microseconds during a step: look a while before sleeping.
constexpr int kSpins = 2000;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

template <typename T>
void wait_while_equal(const std::atomic<T>& value, T old) {
  for (int i = 0; i < kSpins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

void ThreadPool::FreeScratch::operator()(std::byte* p) const noexcept { std::free(p); }

ThreadPool::ThreadPool(int threads) {
  if (threads < 1 || threads > 4096) {
    throw ConfigError(message("a thread pool of ", threads, " threads; use 1 to 4096"));
  }
  for (int worker = 0; worker < threads; ++worker) {
    void* memory = std::aligned_alloc(64, static_cast<std::size_t>(kScratchBytes));
    if (memory == nullptr) throw OutOfMemory("no memory for a thread pool's scratch");
    scratch_.emplace_back(static_cast<std::byte*>(memory));
  }
  threads_.reserve(static_cast<std::size_t>(threads) - 1);
  for (int worker = 1; worker < threads; ++worker) {
    threads_.emplace_back([this, worker] { worker_loop(worker); });
  }
}

ThreadPool::~ThreadPool() {
  stop_.store(true, std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::run(std::int64_t count, void* context, Invoke invoke) {
  if (count <= 0) return;
  if (count == 1 || threads_.empty()) {
    for (std::int64_t index = 0; index < count; ++index) invoke(context, index, 0);
    return;
  }
  context_ = context;
  invoke_ = invoke;
  count_ = count;
  next_.store(0, std::memory_order_relaxed);
  running_.store(static_cast<std::int32_t>(threads_.size()), std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  work(0);
  for (std::int32_t left = running_.load(std::memory_order_acquire); left != 0;
       left = running_.load(std::memory_order_acquire)) {
    wait_while_equal(running_, left);
  }
}

void ThreadPool::work(int worker) {
  for (;;) {
    const std::int64_t index = next_.fetch_add(1, std::memory_order_relaxed);
    if (index >= count_) return;
    invoke_(context_, index, worker);
  }
}

void ThreadPool::worker_loop(int worker) {
  std::uint32_t seen = 0;
  for (;;) {
    wait_while_equal(generation_, seen);
    seen = generation_.load(std::memory_order_acquire);
    if (stop_.load(std::memory_order_relaxed)) return;
    work(worker);
    if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) running_.notify_one();
  }
}

}  // namespace msd::cpu
