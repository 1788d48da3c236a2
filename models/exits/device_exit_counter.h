// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>

#include "engine/runtime.h"
#include "engine/tensor.h"
#include "models/exits/exit_counts.h"

namespace msd {

/// Counts what the exits got right where the ops run, batch after batch, without a word to the host
/// until it asks. Counts what a HostExitCounter counts.
class DeviceExitCounter {
 public:
  /// For logits of `dtype` of at most max_batch samples. Borrows runtime. Starts at zero.
  DeviceExitCounter(Runtime& runtime, std::int64_t exits, std::int64_t classes,
                    std::int64_t max_batch, DType dtype);

  /// A call of the op count_exits, to be made (or replayed) once a batch. logits: one view an exit,
  /// which outlive the call's use; labels: [n] in the runtime's memory.
  CountExitsArgs call(std::span<const ConstView> logits, const std::int32_t* labels) const;
  /// Tells of n samples whose call has been made.
  void add_samples(std::int64_t n) { samples_ += n; }

  /// All so far. Waits for the ops.
  ExitCounts counts() const;
  /// Goes on from these.
  void set(const ExitCounts& counts);

 private:
  static constexpr std::int64_t kKinds = 4;  // top-1, top-5, ensemble top-1, ensemble top-5

  std::int64_t exits_, samples_ = 0;
  Tensor probability_sums_, loss_sum_, correct_;
};

}  // namespace msd
