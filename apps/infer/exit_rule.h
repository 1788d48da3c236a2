// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "apps/infer/infer_options.h"
#include "models/exits/thresholds.h"
#include "models/weights/checkpoint.h"

namespace msd {

/// When a sample stops.
struct ExitRule {
  enum class Kind : std::uint8_t {
    last,        // at the last exit
    all,         // there too, with an answer at every exit
    thresholds,  // at the first exit that is confident enough
    fixed,       // at one exit known in advance
    deadline,    // before the exit that is expected too late
  };
  Kind kind = Kind::last;
  Thresholds thresholds;            // thresholds
  double deadline_us = 0.0;         // deadline
  std::vector<std::int64_t> exits;  // those of the plan, from 0
  nlohmann::ordered_json description;
};

/// The rule of the command line for this network. Throws ConfigError and what read_thresholds does.
ExitRule make_exit_rule(const InferOptions& options, const Checkpoint& checkpoint,
                        const MsdnetConfig& config);

}  // namespace msd
