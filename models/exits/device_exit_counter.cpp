// SPDX-License-Identifier: MIT
#include "models/exits/device_exit_counter.h"

#include <array>

namespace msd {
namespace {

std::array<std::vector<std::int64_t>*, 4> kinds(ExitCounts& counts) {
  return {&counts.top1, &counts.top5, &counts.ensemble_top1, &counts.ensemble_top5};
}

}  // namespace

DeviceExitCounter::DeviceExitCounter(Runtime& runtime, std::int64_t exits, std::int64_t classes,
                                     std::int64_t max_batch, DType dtype)
    : exits_(exits) {
  probability_sums_ =
      Tensor::empty(runtime.allocator(), {max_batch, classes}, accumulator_of(dtype));
  loss_sum_ = Tensor::zeros(runtime.allocator(), {exits}, DType::f64);
  correct_ = Tensor::zeros(runtime.allocator(), {exits, kKinds}, DType::i64);
}

CountExitsArgs DeviceExitCounter::call(std::span<const ConstView> logits,
                                       const std::int32_t* labels) const {
  return {logits, labels, probability_sums_.data(), static_cast<double*>(loss_sum_.data()),
          static_cast<std::int64_t*>(correct_.data())};
}

ExitCounts DeviceExitCounter::counts() const {
  ExitCounts counts(exits_);
  counts.samples = samples_;
  const Tensor correct = correct_.to_host();
  loss_sum_.read(counts.loss_sum.data(), exits_ * size_bytes(DType::f64));
  for (std::int64_t exit = 0; exit < exits_; ++exit) {
    for (std::int64_t k = 0; k < kKinds; ++k) {
      (*kinds(counts)[static_cast<std::size_t>(k)])[static_cast<std::size_t>(exit)] =
          correct.span<std::int64_t>()[static_cast<std::size_t>(exit * kKinds + k)];
    }
  }
  return counts;
}

void DeviceExitCounter::set(const ExitCounts& counts) {
  samples_ = counts.samples;
  loss_sum_.write(counts.loss_sum.data(), exits_ * size_bytes(DType::f64));
  ExitCounts copy = counts;
  std::vector<std::int64_t> correct;
  for (std::size_t exit = 0; exit < static_cast<std::size_t>(exits_); ++exit) {
    for (const std::vector<std::int64_t>* kind : kinds(copy)) correct.push_back((*kind)[exit]);
  }
  correct_.write(correct.data(), correct_.elems() * size_bytes(DType::i64));
}

}  // namespace msd
