// SPDX-License-Identifier: MIT
// SGD with momentum over flat buffers, and the search for a value that is not finite.
//   g = grad + decay*w; v = momentum*v + g; w -= lr*(nesterov ? g + momentum*v : v)
// Lanes of kLanes<T> elements, the tail masked: every element has the same expression. A task is
// kTaskElems elements. sgd: in T, 2 roundings an addend; 20 bytes and 6 to 8 FLOPs a float element
// (21 bytes with a mask). finite_check: 4 bytes a float element; nothing is read past a task that
// found one.
#include <atomic>

#include "kernels/cpu/device/rows.h"

namespace msd::cpu::MSD_ISA {
namespace {

constexpr std::int64_t kTaskElems = 16384;

template <typename T>
struct Step {
  T* weight;
  const T* gradient;
  T* velocity;
  T lr, momentum, decay;
  bool nesterov;
};

template <typename T>
struct Moved {
  Vec<T> weight, velocity;
};

template <typename T>
MSD_INLINE Moved<T> moved(const Step<T>& s, Vec<T> w, Vec<T> gradient, Vec<T> v) {
  const Vec<T> momentum = broadcast(s.momentum);
  const Vec<T> g = multiply_add(broadcast(s.decay), w, gradient);
  const Vec<T> velocity = multiply_add(momentum, v, g);
  const Vec<T> direction = s.nesterov ? multiply_add(momentum, velocity, g) : velocity;
  return {multiply_add(broadcast(-s.lr), direction, w), velocity};
}

/// The elements [i, i + count), count <= lanes; mask: count bytes, or null.
template <typename T>
void sgd_tail(const Step<T>& s, const std::uint8_t* mask, std::int64_t i, int count) {
  const Vec<T> w = load_partial(s.weight + i, count), v = load_partial(s.velocity + i, count);
  Moved<T> next = moved<T>(s, w, load_partial(s.gradient + i, count), v);
  for (int lane = 0; lane < count && mask != nullptr; ++lane) {
    if (mask[lane] != 0) continue;
    next.weight[lane] = w[lane];
    next.velocity[lane] = v[lane];
  }
  store_partial(s.weight + i, next.weight, count);
  store_partial(s.velocity + i, next.velocity, count);
}

template <typename T>
void sgd_range(const Step<T>& s, const std::uint8_t* mask, std::int64_t begin, std::int64_t end) {
  constexpr int kLane = kLanes<T>;
  std::int64_t i = begin;
  for (; i + kLane <= end; i += kLane) {
    if (mask != nullptr) {
      int live = 0;
      for (int lane = 0; lane < kLane; ++lane) live += mask[i + lane] != 0;
      if (live == 0) continue;
      if (live != kLane) {
        sgd_tail(s, mask + i, i, kLane);
        continue;
      }
    }
    const Moved<T> next =
        moved<T>(s, load(s.weight + i), load(s.gradient + i), load(s.velocity + i));
    store(s.weight + i, next.weight);
    store(s.velocity + i, next.velocity);
  }
  if (i < end) {
    sgd_tail(s, mask == nullptr ? nullptr : mask + i, i, static_cast<int>(end - i));
  }
}

template <typename T>
bool finite(const T* p, std::int64_t count) {
  Vec<T> sum{};  // of x - x: 0, or NaN where x is infinite or NaN
  std::int64_t i = 0;
  for (; i + kLanes<T> <= count; i += kLanes<T>) {
    const Vec<T> x = load(p + i);
    sum += x - x;
  }
  if (i < count) {
    const Vec<T> x = load_partial(p + i, static_cast<int>(count - i));
    sum += x - x;
  }
  for (int lane = 0; lane < kLanes<T>; ++lane) {
    if (!(sum[lane] == T{0})) return false;
  }
  return true;
}

/// The first index of [begin, end) that is not finite, or end.
template <typename T>
std::int64_t first_not_finite(const T* p, std::int64_t begin, std::int64_t end) {
  constexpr std::int64_t kBlock = 1024;
  for (std::int64_t i = begin; i < end; i += kBlock) {
    const std::int64_t count = std::min(kBlock, end - i);
    if (finite(p + i, count)) continue;
    std::int64_t at = i;
    while (p[at] - p[at] == T{0}) ++at;
    return at;
  }
  return end;
}

}  // namespace

void sgd(ThreadPool& pool, std::span<const SgdArgs> group) {
  for (const SgdArgs& args : group) check_cpu_dtype("sgd", args.dtype);
  for_each_task(
      pool, group, [](const SgdArgs& args) { return ceil_div(args.count, kTaskElems); },
      [](const SgdArgs& args, std::int64_t task, int) {
        for_dtype(args.dtype, [&]<typename T>() {
          const Step<T> step = {static_cast<T*>(args.weight),
                                static_cast<const T*>(args.gradient),
                                static_cast<T*>(args.velocity),
                                static_cast<T>(*args.lr),
                                static_cast<T>(args.momentum),
                                static_cast<T>(args.weight_decay),
                                args.nesterov};
          sgd_range(step, args.mask, task * kTaskElems,
                    std::min(args.count, (task + 1) * kTaskElems));
        });
      });
}

void finite_check(ThreadPool& pool, std::span<const FiniteCheckArgs> group) {
  for (const FiniteCheckArgs& args : group) {
    check_cpu_dtype("finite_check", args.dtype);
    std::atomic<std::int64_t> first{args.count};
    pool.parallel_for(ceil_div(args.count, kTaskElems), [&](std::int64_t task, int) {
      const std::int64_t begin = task * kTaskElems, end = std::min(args.count, begin + kTaskElems);
      if (begin >= first.load(std::memory_order_relaxed)) return;
      for_dtype(args.dtype, [&]<typename T>() {
        const std::int64_t at = first_not_finite(static_cast<const T*>(args.data), begin, end);
        std::int64_t seen = first.load(std::memory_order_relaxed);
        while (at < end && at < seen &&
               !first.compare_exchange_weak(seen, at, std::memory_order_relaxed)) {
        }
      });
    });
    const std::int64_t found = first.load(std::memory_order_relaxed);
    *args.first_bad = found < args.count ? found : -1;
  }
}

}  // namespace msd::cpu::MSD_ISA
