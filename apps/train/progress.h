// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "models/exits/exit_counts.h"

namespace msd {

/// Tells a person, or with --json a program, how a run gets on: a bar that redraws itself on a
/// terminal, plain lines elsewhere, one JSON object a line with --json.
class Progress {
 public:
  enum class Style : std::uint8_t { bar, lines, json };
  /// bar where stdout is a terminal, lines elsewhere; json where asked for.
  static Style choose(bool json);
  explicit Progress(Style style) : style_(style) {}

  void start_run(std::int64_t epochs, std::int64_t steps_per_epoch, std::int64_t epoch,
                 std::int64_t step);

  struct Step {
    std::int64_t epoch, step;  // epoch from 0; step = steps of it done
    std::int64_t images;       // done in `seconds`, by this process in this epoch
    double seconds, wait_seconds;
    const ExitCounts& counts;
  };
  void step(const Step& step);
  /// A line of metrics.jsonl.
  void finish_epoch(const nlohmann::json& line);
  /// A line on stderr.
  void warn(const std::string& text) const;

 private:
  void draw(const Step& step) const;

  Style style_;
  std::int64_t epochs_ = 0, steps_ = 0;
  std::int64_t first_ = 0;     // steps of the run done before this process
  double done_seconds_ = 0.0;  // of this process's finished epochs
  double drawn_at_ = 0.0;      // seconds of the epoch when last drawn
};

}  // namespace msd
