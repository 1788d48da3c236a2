// SPDX-License-Identifier: MIT
// Loss and exit statistics from logits: rows of `classes` values, one image a row.
//   cross-entropy  lse = max + ln(sum exp(z - max)); loss = mean(lse - z[label]);
//                  dz = weight/n * (exp(z - max)/sum - onehot)
//   confidence     p = exp(z - max)/sum; entropy = ln(sum) - sum p*(z - max)
// exp in T, sums and logarithms in double, in the order of the classes: an error of a few eps a
// value. Every row is computed alone and alike, so its bits don't depend on its batch. The loss's
// sum over rows is taken in double in fixed blocks of rows. Bytes: logits three times (a row stays
// in L1), each output once; the time is that of one exp a class.
#include <array>
#include <cmath>
#include <limits>

#include "kernels/cpu/device/rows.h"

namespace msd::cpu::MSD_ISA {
namespace {

constexpr std::int64_t kRowsPerTask = 8;
constexpr std::int64_t kLossTasks = 4096;

// --- softmax_cross_entropy

std::int64_t loss_rows(const SoftmaxCrossEntropyArgs& args) {
  return std::max(kRowsPerTask, ceil_div(args.logits.rows(), kLossTasks));
}
std::int64_t loss_tasks(const SoftmaxCrossEntropyArgs& args) {
  return ceil_div(args.logits.rows(), loss_rows(args));
}

/// lse - z[label]; writes the gradient unless it isn't wanted.
template <typename T>
double cross_entropy_row(const SoftmaxCrossEntropyArgs& args, std::int64_t row) {
  const std::int64_t classes = args.logits.c;
  const T* z = args.logits.as<T>() + row * args.logits.pitch;
  const auto label = static_cast<std::int64_t>(args.labels[row]);
  T max = z[0];
  for (std::int64_t i = 1; i < classes; ++i) max = z[i] > max ? z[i] : max;
  double sum = 0.0;
  for (std::int64_t i = 0; i < classes; ++i) sum += static_cast<double>(std::exp(z[i] - max));
  const double loss = static_cast<double>(max) + std::log(sum) - static_cast<double>(z[label]);
  if (args.dlogits.data == nullptr) return loss;
  T* dz = args.dlogits.as<T>() + row * args.dlogits.pitch;  // may be z itself
  const double scale = args.weight / static_cast<double>(args.logits.rows());
  for (std::int64_t i = 0; i < classes; ++i) {
    const double p = static_cast<double>(std::exp(z[i] - max)) / sum;
    dz[i] = static_cast<T>(scale * (i == label ? p - 1.0 : p));
  }
  return loss;
}

// --- softmax_confidence

constexpr int kTop = 5;

/// The five largest of a row: falling, equals by rising index.
template <typename T>
struct Top {
  std::array<T, kTop> value;
  std::array<std::int32_t, kTop> index;
  int count = 0;

  void add(T v, std::int32_t i) {
    if (count == kTop && !(v > value[kTop - 1])) return;
    int at = count < kTop ? count++ : kTop - 1;
    for (; at > 0 && v > value[static_cast<std::size_t>(at - 1)]; --at) {
      value[static_cast<std::size_t>(at)] = value[static_cast<std::size_t>(at - 1)];
      index[static_cast<std::size_t>(at)] = index[static_cast<std::size_t>(at - 1)];
    }
    value[static_cast<std::size_t>(at)] = v;
    index[static_cast<std::size_t>(at)] = i;
  }
};

template <typename T>
void confidence_row(const SoftmaxConfidenceArgs& args, std::int64_t row) {
  const std::int64_t classes = args.logits.c;
  const T* z = args.logits.as<T>() + row * args.logits.pitch;
  Top<T> top;
  bool any_nan = false;
  for (std::int64_t i = 0; i < classes; ++i) {
    any_nan |= z[i] != z[i];
    top.add(z[i], static_cast<std::int32_t>(i));
  }
  if (any_nan) {  // no order to speak of: the first classes
    for (int k = 0; k < top.count; ++k) top.index[static_cast<std::size_t>(k)] = k;
    top.value.fill(std::numeric_limits<T>::quiet_NaN());
  }
  if (args.argmax != nullptr) args.argmax[row] = top.index[0];
  if (args.top5 != nullptr) {
    for (int k = 0; k < kTop; ++k) {
      args.top5[row * kTop + k] = k < top.count ? top.index[static_cast<std::size_t>(k)] : -1;
    }
  }
  const bool probabilities = args.probabilities.data != nullptr;
  if (!probabilities && args.max == nullptr && args.second == nullptr && args.entropy == nullptr) {
    return;
  }
  T* p = probabilities ? args.probabilities.as<T>() + row * args.probabilities.pitch : nullptr;
  const T max = top.value[0];
  const T second = classes > 1 ? std::exp(top.value[1] - max) : T{0};
  double sum = 0.0, weighted = 0.0;  // of e = exp(z - max), of e*(z - max)
  for (std::int64_t i = 0; i < classes; ++i) {
    const T shifted = z[i] - max;
    const T e = std::exp(shifted);
    sum += static_cast<double>(e);
    if (e != T{0})
      weighted += static_cast<double>(e) * static_cast<double>(shifted);  // 0*ln(0) = 0
    if (probabilities) p[i] = e;  // z[i] has been read: p may be z
  }
  if (probabilities) {
    for (std::int64_t i = 0; i < classes; ++i) {
      p[i] = static_cast<T>(static_cast<double>(p[i]) / sum);
    }
  }
  const auto put = [row](void* out, double value) {
    if (out != nullptr) static_cast<T*>(out)[row] = static_cast<T>(value);
  };
  // exp(max - max): 1, or NaN where the row holds a NaN or an infinite maximum.
  put(args.max, static_cast<double>(std::exp(max - max)) / sum);
  put(args.second, static_cast<double>(second) / sum);
  put(args.entropy, std::log(sum) - weighted / sum);
}

}  // namespace

void softmax_cross_entropy(ThreadPool& pool, std::span<const SoftmaxCrossEntropyArgs> group) {
  for (const SoftmaxCrossEntropyArgs& args : group) {
    check_cpu_dtype("softmax_cross_entropy", args.logits.dtype);
    for (std::int64_t i = 0; i < args.logits.rows(); ++i) {
      MSD_CHECK(args.labels[i] >= 0 && args.labels[i] < args.logits.c,
                OpName{"softmax_cross_entropy"}, ": sample ", i, " has label ", args.labels[i],
                " of ", args.logits.c, " classes");
    }
  }
  double* partial = reinterpret_cast<double*>(pool.scratch(0));  // one a task
  for (const SoftmaxCrossEntropyArgs& args : group) {
    const std::int64_t rows = loss_rows(args), tasks = loss_tasks(args);
    for_dtype(args.logits.dtype, [&]<typename T>() {
      pool.parallel_for(tasks, [&](std::int64_t task, int) {
        const std::int64_t end = std::min(args.logits.rows(), (task + 1) * rows);
        double sum = 0.0;
        for (std::int64_t row = task * rows; row < end; ++row) {
          sum += cross_entropy_row<T>(args, row);
        }
        partial[task] = sum;
      });
      double sum = 0.0;
      for (std::int64_t task = 0; task < tasks; ++task) sum += partial[task];
      *static_cast<T*>(args.loss) = static_cast<T>(sum / static_cast<double>(args.logits.rows()));
    });
  }
}

void softmax_confidence(ThreadPool& pool, std::span<const SoftmaxConfidenceArgs> group) {
  for (const SoftmaxConfidenceArgs& args : group) {
    check_cpu_dtype("softmax_confidence", args.logits.dtype);
  }
  for_each_task(
      pool, group,
      [](const SoftmaxConfidenceArgs& args) { return ceil_div(args.logits.rows(), kRowsPerTask); },
      [](const SoftmaxConfidenceArgs& args, std::int64_t task, int) {
        const std::int64_t end = std::min(args.logits.rows(), (task + 1) * kRowsPerTask);
        for_dtype(args.logits.dtype, [&]<typename T>() {
          for (std::int64_t row = task * kRowsPerTask; row < end; ++row) {
            confidence_row<T>(args, row);
          }
        });
      });
}

}  // namespace msd::cpu::MSD_ISA
