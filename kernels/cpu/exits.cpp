// SPDX-License-Identifier: MIT
// Who goes on after an exit, and what each exit of a batch got right.
//   count_exits  p = exp(z - max)/sum; loss -= ln max(p[label], least float); a label is first, or
//                among the first five, where fewer than 1 or 5 classes come before it
// exp and probabilities in T, sums of exp and losses in double, in the order of the classes; rows
// are tallied in fixed blocks, the blocks in order. Bytes: logits 4 times (a row stays in L1);
// the time is that of two exp a logit.
#include <cmath>
#include <limits>

#include "kernels/cpu/device/rows.h"

namespace msd::cpu::MSD_ISA {
namespace {

constexpr int kTallies = 5;  // an exit's loss, top-1, top-5 and the ensemble's, all as doubles
constexpr std::int64_t kExitRowsPerTask = 8;
constexpr std::int64_t kMostTasks = 512;

template <typename T>
void select(const SelectSurvivorsArgs& args) {
  const T* confidence = static_cast<const T*>(args.confidence);
  std::int32_t count = 0;
  for (std::int64_t i = 0; i < args.count; ++i) {
    if (static_cast<double>(confidence[i]) >= args.threshold) continue;
    args.survivors[count++] = static_cast<std::int32_t>(i);
  }
  *args.survivor_count = count;
}

std::int64_t task_rows_of(const CountExitsArgs& args) {
  return std::max(kExitRowsPerTask, ceil_div(args.logits[0].n, kMostTasks));
}
std::int64_t tasks_of(const CountExitsArgs& args) {
  return ceil_div(args.logits[0].n, task_rows_of(args));
}

/// Classes that come before `label`; those of lower index where values are NaN.
template <typename T>
std::int64_t rank_of(const T* values, std::int64_t classes, std::int64_t label, bool nan) {
  if (nan) return label;
  std::int64_t before = 0;
  for (std::int64_t i = 0; i < classes; ++i) {
    before += values[i] > values[label] || (values[i] == values[label] && i < label);
  }
  return before;
}

/// What exit `exit` adds for one row.
template <typename T>
void tally_row(const CountExitsArgs& args, std::size_t exit, std::int64_t row, double* tally) {
  const ConstView& logits = args.logits[exit];
  const std::int64_t classes = logits.c, label = args.labels[row];
  const T* z = logits.as<T>() + row * logits.pitch;
  T* sums = static_cast<T*>(args.probability_sums) + row * classes;
  T max = z[0];
  bool nan = false;
  for (std::int64_t i = 0; i < classes; ++i) {
    nan |= z[i] != z[i];
    max = z[i] > max ? z[i] : max;
  }
  double total = 0.0;
  for (std::int64_t i = 0; i < classes; ++i) total += static_cast<double>(std::exp(z[i] - max));
  double probability = 0.0;
  for (std::int64_t i = 0; i < classes; ++i) {
    const auto share = static_cast<T>(static_cast<double>(std::exp(z[i] - max)) / total);
    sums[i] = exit == 0 ? share : sums[i] + share;
    if (i == label) probability = static_cast<double>(share);
  }
  // A probability that underflowed costs what the smallest float would.
  constexpr auto kLeast = static_cast<double>(std::numeric_limits<float>::min());
  const std::int64_t rank = rank_of(z, classes, label, nan);
  const std::int64_t ensemble = rank_of(sums, classes, label, sums[label] != sums[label]);
  tally[0] -= std::log(probability < kLeast ? kLeast : probability);
  tally[1] += rank < 1;
  tally[2] += rank < 5;
  tally[3] += ensemble < 1;
  tally[4] += ensemble < 5;
}

}  // namespace

void select_survivors(ThreadPool& pool, std::span<const SelectSurvivorsArgs> group) {
  for_each_task(
      pool, group, [](const SelectSurvivorsArgs&) { return std::int64_t{1}; },
      [](const SelectSurvivorsArgs& args, std::int64_t, int) {
        for_dtype(args.dtype, [&]<typename T>() { select<T>(args); });
      });
}

void count_exits(ThreadPool& pool, std::span<const CountExitsArgs> group) {
  constexpr std::size_t kMostExits = ThreadPool::kScratchBytes /
                                     static_cast<std::int64_t>(sizeof(double)) /
                                     (kMostTasks * kTallies);
  for (const CountExitsArgs& args : group) {
    check_cpu_dtype("count_exits", args.logits[0].dtype);
    MSD_CHECK(args.logits.size() <= kMostExits, OpName{"count_exits"}, ": ", args.logits.size(),
              " exits, at most ", kMostExits);
  }
  double* tallies = reinterpret_cast<double*>(pool.scratch(0));  // [tasks][exits][kTallies]
  for (const CountExitsArgs& args : group) {
    const std::size_t exits = args.logits.size(), items = exits * kTallies;
    const std::int64_t rows = task_rows_of(args), tasks = tasks_of(args);
    pool.parallel_for(tasks, [&](std::int64_t task, int) {
      double* mine = tallies + static_cast<std::size_t>(task) * items;
      std::fill(mine, mine + items, 0.0);
      const std::int64_t end = std::min(args.logits[0].n, (task + 1) * rows);
      for (std::int64_t row = task * rows; row < end; ++row) {
        if (args.labels[row] < 0 || args.labels[row] >= args.logits[0].c) continue;
        for_dtype(args.logits[0].dtype, [&]<typename T>() {
          for (std::size_t k = 0; k < exits; ++k) tally_row<T>(args, k, row, mine + k * kTallies);
        });
      }
    });
    for (std::size_t item = 0; item < items; ++item) {
      double sum = 0.0;
      for (std::int64_t task = 0; task < tasks; ++task) {
        sum += tallies[static_cast<std::size_t>(task) * items + item];
      }
      const std::size_t exit = item / kTallies, which = item % kTallies;
      if (which == 0) {
        args.loss_sum[exit] += sum;
      } else {
        args.correct[exit * (kTallies - 1) + which - 1] += static_cast<std::int64_t>(sum);
      }
    }
  }
}

}  // namespace msd::cpu::MSD_ISA
