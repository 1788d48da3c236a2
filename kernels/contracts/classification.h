// SPDX-License-Identifier: MIT
#pragma once

#include <span>

#include "kernels/view.h"

namespace msd {

/// Mean softmax cross-entropy of one exit's logits [n,1,1,classes], and its gradient.
/// loss[0] = mean_i(logsumexp(z_i) - z_i[label_i]) (unweighted), overwritten;
/// dlogits = weight/n * (softmax(z) - onehot(label)), overwritten; null data: loss only.
/// labels: [n] int32 in [0, classes). Anything else: on the CPU throws ShapeError naming the
/// sample; on CUDA, where labels lie in device memory, the loss and that row's gradient become NaN.
/// loss: one value of accumulator_of(dtype).
struct SoftmaxCrossEntropyArgs {
  ConstView logits;
  const std::int32_t* labels = nullptr;
  double weight = 1.0;
  void* loss = nullptr;
  View dlogits;
  void check() const;
};

/// What an exit decides from. All outputs are [n]; any may be null.
/// max, second: largest and second largest softmax probability (second is 0 with one class);
/// entropy: -sum p*ln(p), in nats; argmax: the lowest index among equals; top5: [n][5] indices by
/// falling logit, ties by rising index, -1 where there are fewer classes.
/// probabilities: [n,1,1,classes], may be the same view as logits; null data where not wanted.
/// Values are of accumulator_of(dtype). NaN logits give NaN values and argmax 0. Batch-invariant.
struct SoftmaxConfidenceArgs {
  ConstView logits;
  View probabilities;
  void* max = nullptr;
  void* second = nullptr;
  void* entropy = nullptr;
  std::int32_t* argmax = nullptr;
  std::int32_t* top5 = nullptr;
  void check() const;
};

/// Who goes on after an exit: survivors[0 .. m) = the indices i with !(confidence[i] >= threshold),
/// rising, and survivor_count[0] = m. A NaN goes on. confidence: [count] of dtype (f32 or f64);
/// survivors: [count], of which those past m are left alone.
struct SelectSurvivorsArgs {
  const void* confidence = nullptr;
  std::int64_t count = 0;
  DType dtype = DType::f32;
  double threshold = 0.0;
  std::int32_t* survivors = nullptr;
  std::int32_t* survivor_count = nullptr;
  void check() const;
};

/// What each of K exits got right in a batch. logits: K views [n,1,1,classes] of one dtype, exits
/// in order; labels: [n], samples with a label outside [0, classes) count nothing. Added to, in a
/// fixed order: loss_sum [K]: sum over samples of -ln p[label], p at least the least normal float;
/// correct [K][4]: samples whose label is first by the exit's logits, among their first five, first
/// by the ensemble (the sum of the softmax of the exits so far), among its first five. Ties go to
/// the lower class; where logits are NaN, classes rank by index and the loss is NaN.
/// probability_sums: [n][classes] of accumulator_of(dtype), scratch apart from all else, left with
/// anything.
struct CountExitsArgs {
  std::span<const ConstView> logits;
  const std::int32_t* labels = nullptr;
  void* probability_sums = nullptr;
  double* loss_sum = nullptr;
  std::int64_t* correct = nullptr;
  void check() const;
};

}  // namespace msd
