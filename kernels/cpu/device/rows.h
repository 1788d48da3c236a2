// SPDX-License-Identifier: MIT
// What the bodies that walk over rows share: which element types the CPU takes, a loop over the
// tasks of a whole group, and a loop over a row's channels in vectors. Nothing here allocates.
#pragma once

#include <algorithm>

#include "kernels/check.h"
#include "kernels/cpu/device/simd.h"

namespace msd::cpu::MSD_ISA {

/// An op's name in a message. A type of this namespace, so that the message's code is one of this
/// instruction set's own and never the one another set's error path is linked with.
struct OpName {
  const char* text;
};
inline std::ostream& operator<<(std::ostream& out, OpName op) { return out << op.text; }

/// The CPU bodies compute in f32 and f64.
inline void check_cpu_dtype(const char* op, DType dtype) {
  MSD_CHECK(dtype == DType::f32 || dtype == DType::f64, OpName{op}, ": no CPU body for ",
            msd::name(dtype), "; use f32");
}

/// Rows of `row_bytes` that make a task worth handing to a thread and still fit in its L1 or L2
/// cache. Depends on sizes only, so that sums over tasks have the same order on any machine.
inline std::int64_t task_rows(std::int64_t row_bytes) {
  constexpr std::int64_t kTaskBytes = 64 << 10;
  return std::max<std::int64_t>(1, kTaskBytes / std::max<std::int64_t>(1, row_bytes));
}

/// Calls body(problem, task, worker) for every task in [0, count(problem)) of every problem.
template <typename Args, typename Count, typename Body>
inline void for_each_task(ThreadPool& pool, std::span<const Args> group, Count&& count,
                          Body&& body) {
  std::int64_t total = 0;
  for (const Args& args : group) total += count(args);
  pool.parallel_for(total, [&](std::int64_t index, int worker) {
    for (const Args& args : group) {
      const std::int64_t tasks = count(args);
      if (index < tasks) return body(args, index, worker);
      index -= tasks;
    }
  });
}

/// for_each_task over `lines(problem)` lines of line_bytes(problem) each, several a task:
/// body(problem, line).
template <typename Args, typename Lines, typename LineBytes, typename Body>
inline void for_each_line(ThreadPool& pool, std::span<const Args> group, Lines&& lines,
                          LineBytes&& line_bytes, Body&& body) {
  for_each_task(
      pool, group,
      [&](const Args& args) { return ceil_div(lines(args), task_rows(line_bytes(args))); },
      [&](const Args& args, std::int64_t task, int) {
        const std::int64_t step = task_rows(line_bytes(args));
        const std::int64_t end = std::min(lines(args), (task + 1) * step);
        for (std::int64_t line = task * step; line < end; ++line) body(args, line);
      });
}

/// Calls body.template operator()<V, kTail>(first, tail) for consecutive groups of up to kMax
/// vectors of channels: V vectors from channel `first` on, the last of which holds `tail` channels
/// (kTail: fewer than a vector's lanes).
template <typename T, int kMax = 4, typename Body>
MSD_INLINE void for_channels(std::int64_t channels, Body&& body) {
  static_assert(kMax >= 1 && kMax <= 4);
  constexpr std::int64_t kLane = kLanes<T>;
  for (std::int64_t first = 0; first < channels; first += kMax * kLane) {
    const std::int64_t width = std::min(channels - first, kMax * kLane);
    const auto vectors = static_cast<int>(ceil_div(width, kLane));
    const auto tail = static_cast<int>(width - (vectors - 1) * kLane);
    const bool full = tail == kLane;
    if (vectors == 1) {
      full ? body.template operator()<1, false>(first, tail)
           : body.template operator()<1, true>(first, tail);
    } else if (vectors == 2) {
      if constexpr (kMax >= 2) {
        full ? body.template operator()<2, false>(first, tail)
             : body.template operator()<2, true>(first, tail);
      }
    } else if (vectors == 3) {
      if constexpr (kMax >= 3) {
        full ? body.template operator()<3, false>(first, tail)
             : body.template operator()<3, true>(first, tail);
      }
    } else {
      if constexpr (kMax >= 4) {
        full ? body.template operator()<4, false>(first, tail)
             : body.template operator()<4, true>(first, tail);
      }
    }
  }
}

/// Vector v of V: whole, or the last one's `tail` channels (the others 0, not touched).
template <int V, bool kTail, typename T>
MSD_INLINE Vec<T> load_channels(const T* p, int v, int tail) {
  if (kTail && v == V - 1) return load_head(p + v * kLanes<T>, tail);
  return load(p + v * kLanes<T>);
}
template <int V, bool kTail, typename T>
MSD_INLINE void store_channels(T* p, int v, int tail, Vec<T> value) {
  if (kTail && v == V - 1) {
    store_head(p + v * kLanes<T>, value, tail);
  } else {
    store(p + v * kLanes<T>, value);
  }
}

}  // namespace msd::cpu::MSD_ISA
