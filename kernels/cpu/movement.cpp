// SPDX-License-Identifier: MIT
// fill, copy, accumulate, concat: exact. Bytes: each operand once (accumulate: y twice).
#include "kernels/cpu/movement.h"

namespace msd::cpu::MSD_ISA {
namespace {

template <typename T>
void fill_rows(T* y, std::int64_t pitch, std::int64_t rows, std::int64_t channels, T value) {
  if (pitch == channels) {
    channels *= rows;
    rows = 1;
  }
  for_channels<T>(channels, [&]<int V, bool kTail>(std::int64_t first, int tail) {
    T* to = y + first;
    for (std::int64_t row = 0; row < rows; ++row, to += pitch) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) store_channels<V, kTail>(to, v, tail, broadcast(value));
    }
  });
}

std::int64_t tasks_of(const ConstView& y) {
  return y.c == 0 ? 0 : ceil_div(y.rows(), rows_of_task(y));
}

/// The rows of a task of y, and the same rows of x.
template <typename T>
Rows<T> rows_at(const ConstView& x, const View& y, std::int64_t task) {
  const std::int64_t step = rows_of_task(y), begin = task * step;
  return {x.as<T>() + begin * x.pitch,      x.pitch, y.as<T>() + begin * y.pitch, y.pitch,
          std::min(step, y.rows() - begin), x.c};
}

template <bool kAdd, typename Args>
void move(const char* op, ThreadPool& pool, std::span<const Args> group) {
  for (const Args& args : group) check_cpu_dtype(op, args.x.dtype);
  for_each_task(
      pool, group, [](const Args& args) { return tasks_of(args.y); },
      [](const Args& args, std::int64_t task, int) {
        for_dtype(args.x.dtype,
                  [&]<typename T>() { move_rows<kAdd, T>(rows_at<T>(args.x, args.y, task)); });
      });
}

}  // namespace

void concat(ThreadPool& pool, std::span<const ConcatArgs> group) {
  for (const ConcatArgs& args : group) check_cpu_dtype("concat", args.y.dtype);
  for_each_task(
      pool, group, [](const ConcatArgs& args) { return tasks_of(args.y); },
      [](const ConcatArgs& args, std::int64_t task, int) {
        for_dtype(args.y.dtype, [&]<typename T>() {
          const std::int64_t step = rows_of_task(args.y), begin = task * step;
          const std::int64_t rows = std::min(step, args.y.rows() - begin);
          T* y = args.y.as<T>() + begin * args.y.pitch;
          for (const ConstView& x : args.inputs) {
            move_rows<false, T>({x.as<T>() + begin * x.pitch, x.pitch, y, args.y.pitch, rows, x.c});
            y += x.c;
          }
        });
      });
}

void copy(ThreadPool& pool, std::span<const CopyArgs> group) { move<false>("copy", pool, group); }

void accumulate(ThreadPool& pool, std::span<const AccumulateArgs> group) {
  move<true>("accumulate", pool, group);
}

void fill(ThreadPool& pool, std::span<const FillArgs> group) {
  for (const FillArgs& args : group) check_cpu_dtype("fill", args.y.dtype);
  for_each_task(
      pool, group, [](const FillArgs& args) { return tasks_of(args.y); },
      [](const FillArgs& args, std::int64_t task, int) {
        for_dtype(args.y.dtype, [&]<typename T>() {
          const Rows<T> r = rows_at<T>(args.y, args.y, task);
          fill_rows(r.y, r.y_pitch, r.rows, r.channels, static_cast<T>(args.value));
        });
      });
}

}  // namespace msd::cpu::MSD_ISA
