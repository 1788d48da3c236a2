// SPDX-License-Identifier: MIT
#include "kernels/cpu/device/thread_pool.h"

#include <atomic>
#include <cstdlib>
#include <memory>
#include <system_error>
#include <thread>
#include <vector>

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

int checked_size(int threads) {
  if (threads >= 1 && threads <= 4096) return threads;
  throw ConfigError(message("a thread pool of ", threads, " threads; use 1 to 4096"));
}

}  // namespace

struct ThreadPool::State {
  explicit State(int size);
  ~State();
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  struct FreeScratch {
    void operator()(std::byte* p) const noexcept { std::free(p); }
  };

  void join() noexcept;
  void run(std::int64_t loop_count, void* loop_context, Invoke loop_invoke);
  void work(int worker);
  void worker_loop(int worker);

  std::vector<std::unique_ptr<std::byte, FreeScratch>> scratch;
  std::vector<std::thread> threads;
  // The loop in progress; written by the caller before generation is raised.
  void* context = nullptr;
  Invoke invoke = nullptr;
  std::int64_t count = 0;
  std::atomic<std::int64_t> next{0};
  std::atomic<std::uint32_t> generation{0};
  std::atomic<std::int32_t> running{0};
  std::atomic<bool> stop{false};
};

ThreadPool::State::State(int size) {
  for (int worker = 0; worker < size; ++worker) {
    void* memory = std::aligned_alloc(64, static_cast<std::size_t>(kScratchBytes));
    if (memory == nullptr) throw OutOfMemory("no memory for a thread pool's scratch");
    scratch.emplace_back(static_cast<std::byte*>(memory));
  }
  threads.reserve(static_cast<std::size_t>(size) - 1);
  try {
    for (int worker = 1; worker < size; ++worker) {
      threads.emplace_back([this, worker] { worker_loop(worker); });
    }
  } catch (const std::system_error& error) {
    join();
    throw ConfigError(message("cannot start thread ", threads.size() + 2, " of ", size, ": ",
                              error.code().message(), "; use fewer"));
  }
}

ThreadPool::State::~State() { join(); }

void ThreadPool::State::join() noexcept {
  stop.store(true, std::memory_order_relaxed);
  generation.fetch_add(1, std::memory_order_release);
  generation.notify_all();
  for (std::thread& thread : threads) thread.join();
}

void ThreadPool::State::run(std::int64_t loop_count, void* loop_context, Invoke loop_invoke) {
  if (loop_count <= 0) return;
  if (loop_count == 1 || threads.empty()) {
    for (std::int64_t index = 0; index < loop_count; ++index) loop_invoke(loop_context, index, 0);
    return;
  }
  context = loop_context;
  invoke = loop_invoke;
  count = loop_count;
  next.store(0, std::memory_order_relaxed);
  running.store(static_cast<std::int32_t>(threads.size()), std::memory_order_relaxed);
  generation.fetch_add(1, std::memory_order_release);
  generation.notify_all();
  work(0);
  for (std::int32_t left = running.load(std::memory_order_acquire); left != 0;
       left = running.load(std::memory_order_acquire)) {
    wait_while_equal(running, left);
  }
}

void ThreadPool::State::work(int worker) {
  for (;;) {
    const std::int64_t index = next.fetch_add(1, std::memory_order_relaxed);
    if (index >= count) return;
    invoke(context, index, worker);
  }
}

void ThreadPool::State::worker_loop(int worker) {
  std::uint32_t seen = 0;
  for (;;) {
    wait_while_equal(generation, seen);
    seen = generation.load(std::memory_order_acquire);
    if (stop.load(std::memory_order_relaxed)) return;
    work(worker);
    if (running.fetch_sub(1, std::memory_order_acq_rel) == 1) running.notify_one();
  }
}

ThreadPool::ThreadPool(int threads) : size_(checked_size(threads)), state_(new State(threads)) {}
ThreadPool::~ThreadPool() { delete state_; }

std::byte* ThreadPool::scratch(int worker) const {
  return state_->scratch[static_cast<std::size_t>(worker)].get();
}

void ThreadPool::run(std::int64_t count, void* context, Invoke invoke) {
  state_->run(count, context, invoke);
}

}  // namespace msd::cpu
