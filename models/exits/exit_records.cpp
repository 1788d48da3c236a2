// SPDX-License-Identifier: MIT
#include "models/exits/exit_records.h"

namespace msd {

void ExitRecords::append(const ExitRecords& more) {
  exits = more.exits;
  const auto take = [](auto& to, const auto& from, std::int64_t count) {
    to.insert(to.end(), from.begin(), from.begin() + static_cast<std::ptrdiff_t>(count));
  };
  const std::int64_t values = more.samples() * exits;
  take(labels, more.labels, more.samples());
  take(confidence, more.confidence, values);
  take(prediction, more.prediction, values);
  take(top5, more.top5, values);
  take(ensemble_prediction, more.ensemble_prediction, values);
  take(ensemble_top5, more.ensemble_top5, values);
}

}  // namespace msd
