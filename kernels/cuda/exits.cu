// SPDX-License-Identifier: MIT
// select_survivors: the indices i with !(confidence[i] >= threshold), rising, and their number.
// count_exits: adds to each exit's loss, -ln max(p[label], least float), and to its counts of
//   samples whose label is first, or among the first five, by the exit's logits or by the sum of
//   the exits' probabilities up to it: those with fewer than 1 or 5 classes before the label.
// Layout: rows of `classes` logits with a pitch, any element offset; probability_sums dense.
// Accumulation: as softmax.cuh says; probabilities and their sums in the accumulator's type. The
//   tallies in double: a warp's rows, the block's warps and the blocks in order; counts are exact.
// Deterministic: no atomics; the order of sums depends on the shape only.
// Launch: select_survivors one for up to 8 problems, a block each that scans 1024 values at a time
//   with ballots. count_exits: two for up to 8 problems of 16 exits: a warp a row, blocks of 8, at
//   most kMostBlocks; then a block a problem, a warp a tally.
// Bytes: 4 a value and 4 a survivor; logits once, probability_sums written K and read K - 1 times.
//   2 exp a logit. Never ran on a GPU yet.
#include <algorithm>

#include "kernels/cuda/device/ops.h"
#include "kernels/cuda/softmax.cuh"

namespace msd::cuda {
namespace {

// --- select_survivors

constexpr int kScanWarps = 8, kScanThreads = kScanWarps * kWarpSize;
constexpr int kBallots = 4;  // a warp's in one scan
constexpr int kWarpValues = kBallots * kWarpSize, kScanValues = kScanWarps * kWarpValues;

template <typename T>
struct Selection {
  const T* confidence;
  std::int64_t count;
  double threshold;
  std::int32_t *survivors, *survivor_count;
};

/// Bits set.
MSD_DEVICE int population(unsigned bits) {
  bits -= bits >> 1 & 0x55555555u;
  bits = (bits & 0x33333333u) + (bits >> 2 & 0x33333333u);
  bits = (bits + (bits >> 4)) & 0x0F0F0F0Fu;
  return static_cast<int>(bits * 0x01010101u >> 24);
}

/// A block a problem.
template <typename T>
__global__ void __launch_bounds__(kScanThreads)
    ballot_scan_kernel(const __grid_constant__ ProblemTable<Selection<T>> table) {
  MSD_SHARED(int, of_warp, 2 * kScanWarps);  // two scans' counts: one barrier a scan is enough
  const Selection<T>& p = table.problems[block_task(table).problem];
  const int lane = lane_index(), warp = static_cast<int>(threadIdx.x) / kWarpSize;
  std::int32_t before = 0;  // survivors of the scans so far
  int* counts = of_warp;
  for (std::int64_t first = 0; first < p.count; first += kScanValues) {
    const std::int64_t begin = first + warp * kWarpValues + lane;
    unsigned stays[kBallots];
    int mine = 0;
    MSD_UNROLL
    for (int k = 0; k < kBallots; ++k) {
      const std::int64_t i = begin + k * kWarpSize;
      const bool here = i < p.count;
      stays[k] = ballot(here && !(static_cast<double>(p.confidence[here ? i : 0]) >= p.threshold));
      mine += population(stays[k]);
    }
    if (lane == 0) counts[warp] = mine;
    block_sync();
    std::int32_t at = before;
    for (int other = 0; other < kScanWarps; ++other) {
      if (other < warp) at += counts[other];
      before += counts[other];
    }
    const unsigned lower = (1u << lane) - 1u;
    MSD_UNROLL
    for (int k = 0; k < kBallots; ++k) {
      if ((stays[k] >> lane & 1u) != 0) {
        p.survivors[at + population(stays[k] & lower)] =
            static_cast<std::int32_t>(begin + k * kWarpSize);
      }
      at += population(stays[k]);
    }
    counts = counts == of_warp ? of_warp + kScanWarps : of_warp;
  }
  if (threadIdx.x == 0) *p.survivor_count = before;
}

template <typename T>
Selection<T> selection_of(const SelectSurvivorsArgs& args, void*) {
  return {static_cast<const T*>(args.confidence), args.count, args.threshold, args.survivors,
          args.survivor_count};
}

// --- count_exits

constexpr int kExits = 16;   // of one launch
constexpr int kTallies = 5;  // an exit's loss, top-1, top-5 and the ensemble's
constexpr std::int64_t kMostBlocks = 512;
static_assert(kMostBlocks * kExits * kTallies * sizeof(double) <= kShareBytes);

template <typename T>
struct Exits {
  const T* logits[kExits];
  std::int64_t pitch[kExits];
  const std::int32_t* labels;
  Accumulator<T>* probability_sums;
  double* loss_sum;  // of this launch's first exit, as `correct`
  std::int64_t* correct;
  double* tallies;  // [blocks][exits][kTallies], in the workspace
  std::int64_t rows, classes, block_rows;
  int exits;
  bool first;  // the sums start here

  __host__ __device__ std::int64_t blocks() const { return (rows + block_rows - 1) / block_rows; }
};

/// Classes that come before `label`: larger ones, and equal ones of lower index. All of lower index
/// where no order is to be had, as values are NaN. In all lanes.
template <typename V>
MSD_DEVICE int rank_of_label(const V* values, std::int64_t classes, std::int64_t label,
                             Accumulator<V> of_label, bool nan) {
  int before = 0;
  for (std::int64_t i = lane_index(); i < classes; i += kWarpSize) {
    const Accumulator<V> value = widen(values[i]);
    before += nan ? i < label : value > of_label || (value == of_label && i < label);
  }
  return warp_sum(before);
}

/// What exit `exit` adds for one row; in lane 0.
template <typename T>
MSD_DEVICE void tally_row(const Exits<T>& p, int exit, std::int64_t row, std::int64_t label,
                          double* tally) {
  using A = Accumulator<T>;
  const T* z = p.logits[exit] + row * p.pitch[exit];
  A* sums = p.probability_sums + row * p.classes;
  const A max = row_maximum(z, p.classes);
  const double total = exponential_sum(z, p.classes, max);
  const int rank = rank_of_label(z, p.classes, label, widen(z[label]), max != max);
  A of_label = 0, sum_of_label = 0;
  for (std::int64_t i = lane_index(); i < p.classes; i += kWarpSize) {
    const A share = static_cast<A>(static_cast<double>(exponential(widen(z[i]) - max)) / total);
    const A sum = p.first && exit == 0 ? share : sums[i] + share;
    sums[i] = sum;
    if (i == label) of_label = share, sum_of_label = sum;
  }
  const auto owner = static_cast<int>(label % kWarpSize);
  of_label = shuffle(of_label, owner);
  sum_of_label = shuffle(sum_of_label, owner);
  const int ensemble_rank =
      rank_of_label(sums, p.classes, label, sum_of_label, sum_of_label != sum_of_label);
  if (lane_index() != 0) return;
  const auto probability = static_cast<double>(of_label);
  tally[0] -= log(probability < kLeastFloat ? kLeastFloat : probability);
  tally[1] += rank < 1;
  tally[2] += rank < 5;
  tally[3] += ensemble_rank < 1;
  tally[4] += ensemble_rank < 5;
}

template <typename T>
__global__ void __launch_bounds__(kRowThreads, kRowBlocks)
    tally_rows_kernel(const __grid_constant__ ProblemTable<Exits<T>> table) {
  constexpr int kWarpTallies = kExits * kTallies;
  MSD_SHARED(double, of_warp, kRowWarps* kWarpTallies);
  const BlockTask task = block_task(table);
  const Exits<T>& p = table.problems[task.problem];
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  double* mine = of_warp + warp * kWarpTallies;
  if (lane_index() == 0) {
    for (int i = 0; i < p.exits * kTallies; ++i) mine[i] = 0.0;
  }
  const std::int64_t begin = std::int64_t{task.index} * p.block_rows;
  const std::int64_t end = begin + p.block_rows < p.rows ? begin + p.block_rows : p.rows;
  for (std::int64_t row = begin + warp; row < end; row += kRowWarps) {
    const std::int64_t label = p.labels[row];
    if (label < 0 || label >= p.classes) continue;
    for (int exit = 0; exit < p.exits; ++exit) {
      tally_row(p, exit, row, label, mine + exit * kTallies);
    }
  }
  block_sync();
  const auto item = static_cast<int>(threadIdx.x);
  if (item >= p.exits * kTallies) return;
  double sum = 0.0;
  for (int other = 0; other < kRowWarps; ++other) sum += of_warp[other * kWarpTallies + item];
  p.tallies[std::int64_t{task.index} * p.exits * kTallies + item] = sum;
}

/// A block a problem.
template <typename T>
__global__ void __launch_bounds__(kRowThreads)
    add_tallies_kernel(const __grid_constant__ ProblemTable<Exits<T>> table) {
  const Exits<T>& p = table.problems[block_task(table).problem];
  const int items = p.exits * kTallies;
  for (int item = static_cast<int>(threadIdx.x) / kWarpSize; item < items; item += kRowWarps) {
    double sum = 0.0;
    for (std::int64_t block = lane_index(); block < p.blocks(); block += kWarpSize) {
      sum += p.tallies[block * items + item];
    }
    sum = warp_sum(sum);
    if (lane_index() != 0) continue;
    const int exit = item / kTallies, which = item % kTallies;
    if (which == 0) {
      p.loss_sum[exit] += sum;
    } else {
      p.correct[exit * (kTallies - 1) + which - 1] += static_cast<std::int64_t>(sum);
    }
  }
}

/// Exits [first, first + kExits) of a problem.
template <typename T>
Exits<T> exits_of(const CountExitsArgs& args, std::int64_t first, void* share) {
  Exits<T> p = {};
  p.exits = static_cast<int>(
      std::min<std::int64_t>(static_cast<std::int64_t>(args.logits.size()) - first, kExits));
  for (int k = 0; k < p.exits; ++k) {
    const ConstView& logits = args.logits[static_cast<std::size_t>(first + k)];
    p.logits[k] = logits.as<T>();
    p.pitch[k] = logits.pitch;
  }
  p.labels = args.labels;
  p.probability_sums = static_cast<Accumulator<T>*>(args.probability_sums);
  p.loss_sum = args.loss_sum + first;
  p.correct = args.correct + first * (kTallies - 1);
  p.tallies = static_cast<double*>(share);
  p.rows = args.logits[0].rows();
  p.classes = args.logits[0].c;
  p.block_rows = round_up(std::max<std::int64_t>(1, ceil_div(p.rows, kMostBlocks)), kRowWarps);
  p.first = first == 0;
  return p;
}

}  // namespace

void select_survivors(Context& context, std::span<const SelectSurvivorsArgs> group) {
  by_dtype(
      "select_survivors", FloatTypes{}, context, group, &SelectSurvivorsArgs::dtype,
      [&]<typename T>(const auto&... of) { return selection_of<T>(of...); },
      [&]<typename T>(std::span<const Selection<T>> problems) {
        launch_over(context, ballot_scan_kernel<T>, problems, kScanThreads,
                    [](const Selection<T>&) { return 1; });
      });
}

void count_exits(Context& context, std::span<const CountExitsArgs> group) {
  std::int64_t most_exits = 0;
  for (const CountExitsArgs& args : group) {
    check_dtype("count_exits", args.logits[0].dtype, ActivationTypes{});
    most_exits = std::max(most_exits, static_cast<std::int64_t>(args.logits.size()));
  }
  for_each_dtype(ActivationTypes{}, [&]<typename T>() {
    for (std::int64_t first = 0; first < most_exits; first += kExits) {
      in_batches<Exits<T>>(
          context, group,
          [&](const CountExitsArgs& args) {
            return args.logits[0].dtype == kDeviceDType<T> && args.logits[0].n > 0 &&
                   first < static_cast<std::int64_t>(args.logits.size());
          },
          [&](const CountExitsArgs& args, void* share) { return exits_of<T>(args, first, share); },
          [&](std::span<const Exits<T>> problems) {
            launch_over(context, tally_rows_kernel<T>, problems, kRowThreads,
                        [](const Exits<T>& p) { return p.blocks(); });
            launch_over(context, add_tallies_kernel<T>, problems, kRowThreads,
                        [](const Exits<T>&) { return 1; });
          });
    }
  });
}

}  // namespace msd::cuda
