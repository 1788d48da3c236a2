// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>

#include "kernels/view.h"

namespace msd {

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
