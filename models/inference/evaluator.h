// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "models/exits/host_exit_counter.h"
#include "models/inference/plan.h"

namespace msd {

/// Runs every exit of a plan over batches and records what each says: fuel for the anytime and
/// budgeted settings. A sample's record is, bit for bit, what PlanSession says at batch 1.
class Evaluator {
 public:
  /// Borrows both. `plan` has a stage for every exit.
  Evaluator(Runtime& runtime, const Plan& plan, std::int64_t batch);

  /// Where the next n <= batch samples go, in the runtime's memory: normalised images
  /// [n,size,size,3].
  View input(std::int64_t n) const;
  /// Adds the samples that lie there, with their labels, on the host.
  void run(const std::int32_t* labels, std::int64_t n);
  /// Copies images.n <= batch samples of the runtime's memory there and adds them.
  void add(const ConstView& images, const std::int32_t* labels);

  const ExitRecords& records() const { return records_; }
  const ExitCounts& counts() const { return counts_; }

 private:
  Runtime& runtime_;
  PlanSession session_;
  HostExitCounter counter_;
  ExitRecords records_;
  ExitCounts counts_;
};

}  // namespace msd
