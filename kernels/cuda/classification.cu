// SPDX-License-Identifier: MIT
// Loss and exit statistics from logits.
//   cross-entropy  lse = max + ln(sum exp(z - max)); loss = mean(lse - z[label]);
//                  dz = weight/n*(exp(z - max)/sum - onehot); NaN where the label is no class
//   confidence     p = exp(z - max)/sum; entropy = ln(sum) - sum p*(z - max)
// Layout: rows of `classes` logits with a pitch, any element offset; dlogits and probabilities may
//   be the logits.
// Accumulation: as softmax.cuh says; the loss in double: rows l, l + 256, ..., then a butterfly and
//   the warps in order. The five largest: a search of the row each, ties to the lower class.
// Deterministic and, but for the loss, batch-invariant.
// Launch: a warp a row, blocks of 8, for up to 8 problems; a second launch for the loss, a block a
//   problem, from row losses in the workspace.
// Bytes: logits once from memory, 2 to 8 times from L1; each output once. 1 or 2 exp a class.
// Never ran on a GPU yet.
#include "kernels/check.h"
#include "kernels/cuda/device/ops.h"
#include "kernels/cuda/softmax.cuh"

namespace msd::cuda {
namespace {

constexpr int kTop = 5;

/// The row of this warp of block `block`.
MSD_DEVICE std::int64_t row_of(unsigned block) {
  return std::int64_t{block} * kRowWarps + threadIdx.x / kWarpSize;
}

template <typename T>
struct Loss {
  const T* logits;
  const std::int32_t* labels;
  T* dlogits;  // null where not wanted
  Accumulator<T>* loss;
  double* row_losses;  // [rows], in the workspace
  std::int64_t rows, classes, pitch, dlogits_pitch;
  double weight;
};

template <typename T>
__global__ void __launch_bounds__(kRowThreads)
    cross_entropy_rows_kernel(const __grid_constant__ ProblemTable<Loss<T>> table) {
  using A = Accumulator<T>;
  const BlockTask task = block_task(table);
  const Loss<T>& p = table.problems[task.problem];
  const std::int64_t row = row_of(task.index);
  if (row >= p.rows) return;
  const int lane = lane_index();
  const T* z = p.logits + row * p.pitch;
  const std::int64_t label = p.labels[row];
  const bool known = label >= 0 && label < p.classes;
  const A max = row_maximum(z, p.classes);
  const double sum = exponential_sum(z, p.classes, max);
  const int owner = known ? static_cast<int>(label % kWarpSize) : 0;
  const A mine = known && lane == owner ? widen(z[label]) : 0;
  const A of_label = shuffle(mine, owner);
  if (lane == 0) {
    const double loss = static_cast<double>(max) + log(sum) - static_cast<double>(of_label);
    p.row_losses[row] = known ? loss : kNaN<double>;
  }
  if (p.dlogits == nullptr) return;
  T* dz = p.dlogits + row * p.dlogits_pitch;
  const double scale = known ? p.weight / static_cast<double>(p.rows) : kNaN<double>;
  for (std::int64_t i = lane; i < p.classes; i += kWarpSize) {
    const double share = static_cast<double>(exponential(widen(z[i]) - max)) / sum;
    dz[i] = narrow<T>(static_cast<A>(scale * (i == label ? share - 1.0 : share)));
  }
}

/// A block a problem.
template <typename T>
__global__ void __launch_bounds__(kRowThreads)
    mean_loss_kernel(const __grid_constant__ ProblemTable<Loss<T>> table) {
  MSD_SHARED(double, of_warp, kRowWarps);
  const Loss<T>& p = table.problems[block_task(table).problem];
  double sum = 0.0;
  for (std::int64_t row = threadIdx.x; row < p.rows; row += kRowThreads) sum += p.row_losses[row];
  sum = warp_sum(sum);
  if (lane_index() == 0) of_warp[threadIdx.x / kWarpSize] = sum;
  block_sync();
  if (threadIdx.x != 0) return;
  for (int warp = 1; warp < kRowWarps; ++warp) sum += of_warp[warp];
  *p.loss = static_cast<Accumulator<T>>(sum / static_cast<double>(p.rows));
}

template <typename T>
Loss<T> loss_of(const SoftmaxCrossEntropyArgs& args, void* share) {
  return {args.logits.as<T>(),
          args.labels,
          args.dlogits.as<T>(),
          static_cast<Accumulator<T>*>(args.loss),
          static_cast<double*>(share),
          args.logits.rows(),
          args.logits.c,
          args.logits.pitch,
          args.dlogits.pitch,
          args.weight};
}

template <typename T>
struct Confidence {
  using A = Accumulator<T>;
  const T* logits;
  T* probabilities;
  A *max, *second, *entropy;
  std::int32_t *argmax, *top5;
  std::int64_t rows, classes, pitch, probabilities_pitch;
};

/// A class and its logit, and what comes before and after all of them.
template <typename A>
struct Ranked {
  A value;
  std::int32_t index;
};
template <typename A>
inline constexpr Ranked<A> kBeforeAll = {kInfinity<A>, -1};
template <typename A>
inline constexpr Ranked<A> kAfterAll = {-kInfinity<A>, 0x7FFFFFFF};
template <typename A>
MSD_DEVICE bool comes_before(const Ranked<A>& a, const Ranked<A>& b) {
  return a.value > b.value || (a.value == b.value && a.index < b.index);
}

/// The first of the row's classes that come after `previous`, in all lanes. No logit is NaN.
template <typename T>
MSD_DEVICE Ranked<Accumulator<T>> next_largest(const T* z, std::int64_t classes,
                                               Ranked<Accumulator<T>> previous) {
  using Entry = Ranked<Accumulator<T>>;
  Entry best = kAfterAll<Accumulator<T>>;
  for (std::int64_t i = lane_index(); i < classes; i += kWarpSize) {
    const Entry entry = {widen(z[i]), static_cast<std::int32_t>(i)};
    if (comes_before(previous, entry) && comes_before(entry, best)) best = entry;
  }
  for (int distance = kWarpSize / 2; distance > 0; distance /= 2) {
    const Entry other = {shuffle_xor(best.value, distance), shuffle_xor(best.index, distance)};
    if (comes_before(other, best)) best = other;
  }
  return best;
}

template <typename T>
__global__ void __launch_bounds__(kRowThreads, kRowBlocks)
    confidence_rows_kernel(const __grid_constant__ ProblemTable<Confidence<T>> table) {
  using A = Accumulator<T>;
  const BlockTask task = block_task(table);
  const Confidence<T>& p = table.problems[task.problem];
  const std::int64_t row = row_of(task.index);
  if (row >= p.rows) return;
  const int lane = lane_index();
  const T* z = p.logits + row * p.pitch;
  const A max = row_maximum(z, p.classes);
  const bool nan = max != max;
  const int wanted = p.top5 != nullptr ? kTop : p.second != nullptr ? 2 : p.argmax != nullptr;
  A second = max;
  Ranked<A> entry = kBeforeAll<A>;
  for (int k = 0; k < wanted; ++k) {
    if (k < p.classes) {
      entry = nan ? Ranked<A>{max, k} : next_largest(z, p.classes, entry);
    } else {
      entry.index = -1;
    }
    if (k == 1) second = entry.value;
    if (lane != 0) continue;
    if (k == 0 && p.argmax != nullptr) p.argmax[row] = entry.index;
    if (p.top5 != nullptr) p.top5[row * kTop + k] = entry.index;
  }
  double sum = 0.0, weighted = 0.0;  // of e = exp(z - max), of e*(z - max)
  for (std::int64_t i = lane; i < p.classes; i += kWarpSize) {
    const A shifted = widen(z[i]) - max, e = exponential(shifted);
    sum += static_cast<double>(e);
    if (e != 0) weighted += static_cast<double>(e) * static_cast<double>(shifted);  // 0*ln(0) = 0
  }
  sum = warp_sum(sum);
  weighted = warp_sum(weighted);
  if (p.probabilities != nullptr) {
    T* probabilities = p.probabilities + row * p.probabilities_pitch;
    for (std::int64_t i = lane; i < p.classes; i += kWarpSize) {
      const auto e = static_cast<double>(exponential(widen(z[i]) - max));
      probabilities[i] = narrow<T>(static_cast<A>(e / sum));
    }
  }
  if (lane != 0) return;
  // exp(max - max): 1, or NaN where the row holds a NaN or an infinite maximum.
  const auto share = [&](A logit) {
    return static_cast<A>(static_cast<double>(exponential(logit - max)) / sum);
  };
  if (p.max != nullptr) p.max[row] = share(max);
  if (p.second != nullptr) p.second[row] = p.classes > 1 || nan ? share(second) : 0;
  if (p.entropy != nullptr) p.entropy[row] = static_cast<A>(log(sum) - weighted / sum);
}

template <typename T>
Confidence<T> confidence_of(const SoftmaxConfidenceArgs& args, void*) {
  using A = Accumulator<T>;
  return {args.logits.as<T>(),
          args.probabilities.as<T>(),
          static_cast<A*>(args.max),
          static_cast<A*>(args.second),
          static_cast<A*>(args.entropy),
          args.argmax,
          args.top5,
          args.logits.rows(),
          args.logits.c,
          args.logits.pitch,
          args.probabilities.pitch};
}

}  // namespace

void softmax_cross_entropy(Context& context, std::span<const SoftmaxCrossEntropyArgs> group) {
  constexpr std::int64_t kMostRows = kShareBytes / static_cast<std::int64_t>(sizeof(double));
  for (const SoftmaxCrossEntropyArgs& args : group) {
    MSD_CHECK(args.logits.rows() <= kMostRows, "softmax_cross_entropy: ", args.logits.rows(),
              " rows, at most ", kMostRows);
  }
  by_dtype(
      "softmax_cross_entropy", ActivationTypes{}, context, group, &SoftmaxCrossEntropyArgs::logits,
      [&]<typename T>(const auto&... of) { return loss_of<T>(of...); },
      [&]<typename T>(std::span<const Loss<T>> problems) {
        launch_over(context, cross_entropy_rows_kernel<T>, problems, kRowThreads,
                    [](const Loss<T>& p) { return ceil_div(p.rows, kRowWarps); });
        launch_over(context, mean_loss_kernel<T>, problems, kRowThreads,
                    [](const Loss<T>&) { return 1; });
      });
}

void softmax_confidence(Context& context, std::span<const SoftmaxConfidenceArgs> group) {
  by_dtype(
      "softmax_confidence", ActivationTypes{}, context, group, &SoftmaxConfidenceArgs::logits,
      [&]<typename T>(const auto&... of) { return confidence_of<T>(of...); },
      [&]<typename T>(std::span<const Confidence<T>> problems) {
        launch_over(context, confidence_rows_kernel<T>, problems, kRowThreads,
                    [](const Confidence<T>& p) { return ceil_div(p.rows, kRowWarps); });
      });
}

}  // namespace msd::cuda
