// SPDX-License-Identifier: MIT
// What the batch norms share, with the ReLU that follows them.
//   y = [relu](d*scale + beta), d = x - mean, scale = gamma*invstd: one expression for forward and
//   for backward's mask, so that both agree on the sign, bit for bit.
// Rows of c channels with a pitch; channels in the lanes of up to four vectors, the last one
// masked; rows unrolled so that four sums run side by side.
// Sums: blocks of kBlockRows rows are summed in T, blocks and tasks in double and in a fixed order.
#pragma once

#include <array>

#include "kernels/cpu/device/rows.h"

namespace msd::cpu::MSD_ISA {

inline constexpr std::int64_t kBlockRows = 256;
inline constexpr std::int64_t kPartChannels = 512;
inline constexpr std::int64_t kPartTasks = 512;

/// Per-channel numbers of the elementwise passes. Backward uses all, forward the first three.
template <typename T>
struct Coefficients {
  const T* mean;
  const T* scale;
  const T* beta;
  const T* g_mean;   // dbeta/rows
  const T* d_slope;  // invstd*dgamma/rows
};

/// Mean, scale and beta of V vectors of channels from `first` on.
template <typename T, int V>
struct Affine {
  Vec<T> mean[V], scale[V], beta[V];
};
template <typename T, int V, bool kTail>
MSD_INLINE Affine<T, V> load_affine(const Coefficients<T>& k, std::int64_t first, int tail) {
  Affine<T, V> affine;
  for (int v = 0; v < V; ++v) {
    affine.mean[v] = load_channels<V, kTail>(k.mean + first, v, tail);
    affine.scale[v] = load_channels<V, kTail>(k.scale + first, v, tail);
    affine.beta[v] = load_channels<V, kTail>(k.beta + first, v, tail);
  }
  return affine;
}

/// Up to kPartChannels channels of one problem, with its area of the shared scratch memory.
template <typename Args>
struct Part {
  const Args* args = nullptr;
  std::int64_t first = 0, channels = 0, rows = 0;
  std::int64_t task_rows = 1, tasks = 0;
  double* sums = nullptr;   // [tasks][2][channels]
  void* numbers = nullptr;  // [3][channels] of T: shift or scale, g_mean, d_slope

  std::int64_t row_begin(std::int64_t task) const { return task * task_rows; }
  std::int64_t row_end(std::int64_t task) const { return std::min(rows, (task + 1) * task_rows); }
  double* sums_of(std::int64_t task) const { return sums + task * 2 * channels; }
  std::int64_t bytes() const {
    return (2 * tasks + 3) * channels * static_cast<std::int64_t>(sizeof(double));
  }
  template <typename T>
  T* number(std::int64_t which) const {
    return static_cast<T*>(numbers) + which * channels;
  }
  /// `mean`: the statistic to use, of all channels.
  template <typename T>
  Coefficients<T> coefficients(const void* mean) const {
    return {static_cast<const T*>(mean) + first, number<T>(0),
            static_cast<const T*>(args->beta) + first, number<T>(1), number<T>(2)};
  }
  template <typename T>
  const T* in(const ConstView& view) const {
    return view.as<T>() + first;
  }
  template <typename T>
  T* out(const View& view) const {
    return view.as<T>() + first;
  }
};

/// Calls run(parts) for runs of parts that fit the scratch memory and, where a part is not larger
/// by itself, the cache: the second pass then finds what the first one read.
template <typename Args, typename Run>
void in_batches(ThreadPool& pool, std::span<const Args> group, Run&& run) {
  constexpr std::int64_t kBatchBytes = 2 << 20;
  std::array<Part<Args>, 32> parts;
  std::size_t count = 0;
  std::int64_t scratch_bytes = 0, data_bytes = 0;
  const auto flush = [&] {
    if (count > 0) run(std::span<const Part<Args>>(parts.data(), count));
    count = 0;
    scratch_bytes = data_bytes = 0;
  };
  for (const Args& args : group) {
    const std::int64_t rows = args.x.rows();
    for (std::int64_t first = 0; first < args.x.c; first += kPartChannels) {
      Part<Args> part{.args = &args, .first = first, .rows = rows};
      part.channels = std::min(args.x.c - first, kPartChannels);
      const std::int64_t row_bytes = part.channels * size_bytes(args.x.dtype);
      part.task_rows = std::max(task_rows(row_bytes), ceil_div(rows, kPartTasks));
      part.tasks = ceil_div(rows, part.task_rows);
      if (count == parts.size() || scratch_bytes + part.bytes() > ThreadPool::kScratchBytes ||
          data_bytes + rows * row_bytes > kBatchBytes) {
        flush();
      }
      part.sums = reinterpret_cast<double*>(pool.scratch(0) + scratch_bytes);
      part.numbers = part.sums + 2 * part.tasks * part.channels;
      scratch_bytes += part.bytes();
      data_bytes += rows * row_bytes;
      parts[count++] = part;
    }
  }
  flush();
}

/// body(part, task) for all tasks; `backwards` starts with the tasks that ran last before.
template <typename Args, typename Body>
void run_tasks(ThreadPool& pool, std::span<const Part<Args>> parts, bool backwards, Body&& body) {
  std::int64_t total = 0;
  for (const Part<Args>& part : parts) total += part.tasks;
  pool.parallel_for(total, [&](std::int64_t index, int) {
    if (backwards) index = total - 1 - index;
    for (const Part<Args>& part : parts) {
      if (index < part.tasks) {
        for_dtype(part.args->x.dtype,
                  [&]<typename T>() { body.template operator()<T>(part, index); });
        return;
      }
      index -= part.tasks;
    }
  });
}

/// Adds V vectors' lanes to `sums` (the last vector: `tail` lanes).
template <int V, typename T>
MSD_INLINE void flush_sums(const Vec<T>* vectors, int tail, double* sums) {
  constexpr int kLane = kLanes<T>;
  T lanes[V * kLane];
  for (int v = 0; v < V; ++v) store(lanes + v * kLane, vectors[v]);
  for (int i = 0; i < (V - 1) * kLane + tail; ++i) sums[i] += static_cast<double>(lanes[i]);
}

/// Adds up first(x row) and second(x row) over the rows [0, rows) in blocks: term(row, v, sum_a,
/// sum_b) adds vector v of a row to its two sums.
template <typename T, int V, typename Term>
MSD_INLINE void sum_rows(std::int64_t rows, int tail, double* a, double* b, Term&& term) {
  constexpr int kUnroll = 4 / V;
  for (std::int64_t block = 0; block < rows; block += kBlockRows) {
    const std::int64_t end = std::min(rows, block + kBlockRows);
    Vec<T> sum_a[kUnroll][V] = {}, sum_b[kUnroll][V] = {};
    std::int64_t row = block;
    for (; row + kUnroll <= end; row += kUnroll) {
#pragma GCC unroll 4
      for (int u = 0; u < kUnroll; ++u) {
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) term(row + u, v, sum_a[u][v], sum_b[u][v]);
      }
    }
    for (; row < end; ++row) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) term(row, v, sum_a[0][v], sum_b[0][v]);
    }
#pragma GCC unroll 4
    for (int u = 1; u < kUnroll; ++u) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        sum_a[0][v] += sum_a[u][v];
        sum_b[0][v] += sum_b[u][v];
      }
    }
    flush_sums<V, T>(sum_a[0], tail, a);
    flush_sums<V, T>(sum_b[0], tail, b);
  }
}

/// Sums of all tasks, in their order.
template <typename Args>
double total(const Part<Args>& part, std::int64_t which, std::int64_t channel) {
  double sum = 0.0;
  for (std::int64_t task = 0; task < part.tasks; ++task) {
    sum += part.sums_of(task)[which * part.channels + channel];
  }
  return sum;
}

template <typename T, bool kRelu>
void normalise(const T* x, std::int64_t x_pitch, T* y, std::int64_t y_pitch, std::int64_t rows,
               std::int64_t channels, const Coefficients<T>& k) {
  for_channels<T>(channels, [&]<int V, bool kTail>(std::int64_t first, int tail) {
    const Affine<T, V> affine = load_affine<T, V, kTail>(k, first, tail);
    const T* from = x + first;
    T* to = y + first;
    for (std::int64_t row = 0; row < rows; ++row, from += x_pitch, to += y_pitch) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        const Vec<T> d = load_channels<V, kTail>(from, v, tail) - affine.mean[v];
        const Vec<T> value = multiply_add(d, affine.scale[v], affine.beta[v]);
        store_channels<V, kTail>(to, v, tail, kRelu ? relu<T>(value) : value);
      }
    }
  });
}

template <typename T, typename Args>
void normalise_task(const Part<Args>& part, std::int64_t task, const Coefficients<T>& k) {
  const Args& args = *part.args;
  const std::int64_t begin = part.row_begin(task), rows = part.row_end(task) - begin;
  const T* x = part.template in<T>(args.x) + begin * args.x.pitch;
  T* y = part.template out<T>(args.y) + begin * args.y.pitch;
  const auto pass = args.relu ? &normalise<T, true> : &normalise<T, false>;
  pass(x, args.x.pitch, y, args.y.pitch, rows, part.channels, k);
}

template <typename Args>
void check_dtypes(const char* op, std::span<const Args> group) {
  for (const Args& args : group) check_cpu_dtype(op, args.x.dtype);
}

}  // namespace msd::cpu::MSD_ISA
