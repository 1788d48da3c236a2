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

}  // namespace msd
