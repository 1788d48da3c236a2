// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace msd {

enum class ScheduleKind : std::uint8_t { multistep, cosine };

/// Learning rate over a training run.
struct ScheduleOptions {
  ScheduleKind kind = ScheduleKind::multistep;
  double lr = 0.1;
  /// multistep: the rate is multiplied by gamma from the first epoch (from 0) that is >= each of
  /// these shares of all epochs.
  std::vector<double> milestones = {0.5, 0.75};
  double gamma = 0.1;
  /// Linear from 0 to the schedule's rate over this many epochs, step by step.
  double warmup_epochs = 0.0;
};

class Schedule {
 public:
  /// Throws ConfigError for a value that cannot work.
  Schedule(const ScheduleOptions& options, std::int64_t epochs, std::int64_t steps_per_epoch);
  /// The rate of a step (both from 0). multistep changes with the epoch, cosine with every step:
  /// lr/2*(1 + cos(pi*progress)).
  double lr(std::int64_t epoch, std::int64_t step) const;

 private:
  ScheduleOptions options_;
  std::int64_t epochs_, steps_per_epoch_;
};

/// "50%,75%" as shares of `epochs`, or "150,225" as epochs; throws ConfigError.
std::vector<double> parse_milestones(std::string_view text, std::int64_t epochs);

}  // namespace msd
