// SPDX-License-Identifier: MIT
// fill: y = value; copy: y = x; accumulate: y += x, over pitched rows of c channels. concat: a copy
//   of each input into its channels of y.
// Layout: rows at any element offset. Where all addresses and pitches allow it, channels are moved
//   16 bytes at a time; rows without gaps are one long row.
// Accumulation: one addition an element, rounded once. Deterministic.
// Launch: blocks of 256 threads, kUnits vectors a thread; one launch for up to 8 problems.
// Bytes: each operand once (accumulate: y twice). FLOPs: 1 an element for accumulate.
// Never ran on a GPU yet.
#include "kernels/cuda/device/group.cuh"
#include "kernels/cuda/device/ops.h"

namespace msd::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kUnits = 4;  // vectors a thread
constexpr std::int64_t kBlockUnits = kThreads * kUnits;

enum class Move : std::uint8_t { fill, copy, accumulate };

/// Rows of x (absent for fill) and y; channels and pitches in vectors where `vectors`.
template <typename T>
struct Rows {
  const T* x;
  T* y;
  std::int64_t rows, channels, x_pitch, y_pitch;
  Accumulator<T> value;
  bool vectors;
};

template <Move kMove, int V, typename T>
MSD_DEVICE void move_block(const Rows<T>& p, unsigned block) {
  using Elements = Vector<T, V>;
  const auto* x = reinterpret_cast<const Elements*>(p.x);
  auto* y = reinterpret_cast<Elements*>(p.y);
  const std::int64_t total = p.rows * p.channels;
  for (int i = 0; i < kUnits; ++i) {
    const std::int64_t unit = block * kBlockUnits + i * kThreads + threadIdx.x;
    if (unit >= total) return;
    const std::int64_t row = p.rows == 1 ? 0 : unit / p.channels;
    const std::int64_t channel = unit - row * p.channels;
    const std::int64_t to = row * p.y_pitch + channel;
    Elements value;
    if constexpr (kMove == Move::fill) {
      for (int k = 0; k < V; ++k) value[k] = narrow<T>(p.value);
    } else {
      value = x[row * p.x_pitch + channel];
    }
    if constexpr (kMove == Move::accumulate) {
      const Elements before = y[to];
      for (int k = 0; k < V; ++k) value[k] = narrow<T>(widen(value[k]) + widen(before[k]));
    }
    y[to] = value;
  }
}

template <Move kMove, typename T>
__global__ void __launch_bounds__(kThreads)
    move_rows_kernel(const __grid_constant__ ProblemTable<Rows<T>> table) {
  const BlockTask task = block_task(table);
  const Rows<T>& p = table.problems[task.problem];
  if (p.vectors) {
    move_block<kMove, kVector<T>>(p, task.index);
  } else {
    move_block<kMove, 1>(p, task.index);
  }
}

template <typename T>
Rows<T> rows_of(const ConstView& x, const View& y, Accumulator<T> value) {
  Rows<T> p = {x.as<T>(), y.as<T>(), y.rows(), y.c, x.pitch, y.pitch, value, false};
  const bool reads = x.data != nullptr;
  if (y.pitch == y.c && (!reads || x.pitch == y.c)) {
    p.channels *= p.rows;
    p.rows = 1;
  }
  p.vectors = in_vectors(y.data, p.channels, p.y_pitch, p.rows, kVector<T>) &&
              (!reads || in_vectors(x.data, p.channels, p.x_pitch, p.rows, kVector<T>));
  if (p.vectors) {
    p.channels /= kVector<T>;
    p.x_pitch /= kVector<T>;
    p.y_pitch /= kVector<T>;
  }
  return p;
}

template <typename T>
Rows<T> problem_of(const FillArgs& args) {
  return rows_of<T>({}, args.y, static_cast<Accumulator<T>>(args.value));
}
template <typename T, typename Args>
Rows<T> problem_of(const Args& args) {
  return rows_of<T>(args.x, args.y, 0);
}

template <Move kMove, typename Args>
void move(const char* op, const Context& context, std::span<const Args> group) {
  by_dtype(
      op, ActivationTypes{}, context, group, &Args::y,
      [](const Args& args) { return args.y.elems() > 0; },
      [&]<typename T>(const Args& args, void*) { return problem_of<T>(args); },
      [&]<typename T>(std::span<const Rows<T>> problems) {
        launch_over(context, move_rows_kernel<kMove, T>, problems, kThreads,
                    [](const Rows<T>& p) { return ceil_div(p.rows * p.channels, kBlockUnits); });
      });
}

}  // namespace

void fill(Context& context, std::span<const FillArgs> group) {
  move<Move::fill>("fill", context, group);
}
void copy(Context& context, std::span<const CopyArgs> group) {
  move<Move::copy>("copy", context, group);
}
void accumulate(Context& context, std::span<const AccumulateArgs> group) {
  move<Move::accumulate>("accumulate", context, group);
}
void concat(Context& context, std::span<const ConcatArgs> group) {
  for (const ConcatArgs& args : group) check_dtype("concat", args.y.dtype, ActivationTypes{});
  CopyArgs parts[kMostProblems];
  std::size_t count = 0;
  const auto run = [&] {
    move<Move::copy>("concat", context, std::span<const CopyArgs>(parts, count));
    count = 0;
  };
  for (const ConcatArgs& args : group) {
    std::int64_t channel = 0;
    for (const ConstView& x : args.inputs) {
      parts[count++] = {x, args.y.channels(channel, x.c)};
      channel += x.c;
      if (count == kMostProblems) run();
    }
  }
  run();
}

}  // namespace msd::cuda
