// SPDX-License-Identifier: MIT
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "apps/infer/infer_options.h"
#include "models/exits/exit_rule.h"
#include "models/exits/thresholds_file.h"
#include "models/weights/checkpoint.h"

namespace msd {

/// The rule of the command line.
struct ChosenRule {
  ExitRule rule;
  std::optional<BudgetPoint> point;  // of --thresholds
};

/// The one for this network. Throws ConfigError and what read_thresholds does.
ChosenRule choose_exit_rule(const InferOptions& options, const Checkpoint& checkpoint,
                            const MsdnetConfig& config);

/// What the summary says of it.
nlohmann::ordered_json exit_rule_json(const InferOptions& options, const ChosenRule& chosen);

}  // namespace msd
