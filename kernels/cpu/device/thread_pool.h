// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace msd::cpu {

/// A fixed set of threads that share loops; the calling thread is worker 0. Each worker has scratch
/// memory of its own. Not reentrant: one parallel_for at a time, none inside another.
class ThreadPool {
 public:
  /// Bytes of scratch a worker has; its pages cost nothing until touched.
  static constexpr std::int64_t kScratchBytes = std::int64_t{8} << 20;

  /// threads >= 1, the caller included.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return size_; }

  /// kScratchBytes of memory aligned to 64 bytes, contents arbitrary. Owned by the pool.
  std::byte* scratch(int worker) const;

  /// Calls body(index, worker) for each index in [0, count), in any order on any worker, and
  /// returns when all are done. Which worker runs which index varies from run to run: results may
  /// depend on the index alone. Allocates nothing. body must not throw.
  template <typename Body>
  void parallel_for(std::int64_t count, Body&& body) {
    using Plain = std::remove_reference_t<Body>;
    run(count, const_cast<void*>(static_cast<const void*>(&body)),
        [](void* context, std::int64_t index, int worker) {
          (*static_cast<Plain*>(context))(index, worker);
        });
  }

 private:
  using Invoke = void (*)(void* context, std::int64_t index, int worker);

  void run(std::int64_t count, void* context, Invoke invoke);

  // Threads and atomics are not for every body's eyes, which this header reaches.
  struct State;
  const int size_;
  State* const state_;  // owned
};

}  // namespace msd::cpu
