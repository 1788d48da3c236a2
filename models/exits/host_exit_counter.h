// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "models/exits/confidence_reader.h"
#include "models/exits/exit_counts.h"
#include "models/exits/exit_records.h"

namespace msd {

/// Turns the logits of each exit, exit after exit, into what it says of every sample: on the host,
/// waiting for each exit. Where only counts are wanted and nothing may wait: DeviceExitCounter.
class HostExitCounter {
 public:
  /// dtype of the logits. Borrows runtime.
  HostExitCounter(Runtime& runtime, std::int64_t exits, std::int64_t classes,
                  std::int64_t max_batch, DType dtype);

  /// Starts a batch of n <= max_batch samples.
  void begin(const std::int32_t* labels, std::int64_t n);
  /// The next exit's logits [n,1,1,classes] of that batch; exits in order, all of them. Appends to
  /// `records` (may be null) once the last one is there, and adds to `counts`.
  void add(const ConstView& logits, ExitCounts& counts, ExitRecords* records);

 private:
  std::int64_t exits_, classes_, max_batch_;
  ConfidenceReader reader_;
  std::vector<double> probability_sums_;  // [max_batch][classes] over the exits so far
  ExitRecords batch_;                     // of the batch in hand
  std::int64_t exit_ = 0;                 // the one add() takes next
};

}  // namespace msd
