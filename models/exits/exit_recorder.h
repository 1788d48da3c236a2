// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "models/exits/confidence_reader.h"
#include "models/exits/exit_policy.h"

namespace msd {

/// Sums over samples from which an epoch's figures are made; each vector has one value an exit.
struct ExitCounts {
  std::int64_t samples = 0;
  std::vector<double> loss_sum;                                        // cross-entropy
  std::vector<std::int64_t> top1, top5, ensemble_top1, ensemble_top5;  // correct samples

  explicit ExitCounts(std::int64_t exits = 0);
  std::vector<double> mean_losses() const;
  AnytimeAccuracy accuracy() const;
};

void to_json(nlohmann::json& json, const ExitCounts& counts);
void from_json(const nlohmann::json& json, ExitCounts& counts);

/// Turns the logits of each exit, exit after exit, into what it says of every sample.
class ExitRecorder {
 public:
  /// dtype of the logits. Borrows runtime.
  ExitRecorder(Runtime& runtime, std::int64_t exits, std::int64_t classes, std::int64_t max_batch,
               DType dtype);

  /// Starts a batch of n <= max_batch samples.
  void begin(const std::int32_t* labels, std::int64_t n);
  /// The next exit's logits [n,1,1,classes] of that batch; exits in order, all of them. Appends to
  /// `records` (may be null) once the last one is there, and adds to `counts`.
  void add(const ConstView& logits, ExitCounts& counts, ExitRecords* records);

 private:
  void append_batch(ExitRecords& records) const;

  std::int64_t exits_, classes_, max_batch_;
  ConfidenceReader reader_;
  std::vector<double> probability_sums_;  // [max_batch][classes] over the exits so far
  ExitRecords batch_;                     // of the batch in hand
  std::int64_t exit_ = 0;                 // the one add() takes next
};

/// Indices of the `count` largest of `values`, falling, ties by rising index, into `out`.
void largest(const double* values, std::int64_t size, std::int64_t count, std::int32_t* out);

}  // namespace msd
