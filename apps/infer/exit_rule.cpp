// SPDX-License-Identifier: MIT
#include "apps/infer/exit_rule.h"

#include <numeric>

#include "apps/common/quantity.h"
#include "kernels/error.h"

namespace msd {
namespace {

void use_thresholds_file(const InferOptions& options, const Checkpoint& checkpoint,
                         const MsdnetConfig& config, ExitRule& rule) {
  const ThresholdsFile file = read_thresholds(options.thresholds);
  require_same_model(file, options.thresholds, checkpoint.fingerprint, config, checkpoint.path);
  rule.description = {{"kind", "thresholds"}, {"file", options.thresholds}};
  const BudgetPoint* point = nullptr;
  if (options.given("--p")) {
    point = &point_for_p(file, options.p);
  } else {
    const double budget = parse_quantity(options.budget, "--budget");
    point = &point_for_budget(file, budget);
    rule.description["budget"] = budget;
  }
  rule.description["p"] = point->p;
  rule.description["expected_mul_adds"] = point->expected_mul_adds;
  rule.thresholds = point->thresholds;
}

}  // namespace

ExitRule make_exit_rule(const InferOptions& options, const Checkpoint& checkpoint,
                        const MsdnetConfig& config) {
  using Kind = ExitRule::Kind;
  ExitRule rule;
  rule.exits.resize(static_cast<std::size_t>(config.blocks));
  std::iota(rule.exits.begin(), rule.exits.end(), std::int64_t{0});
  if (options.given("--exit")) {
    if (options.exit > config.blocks) {
      throw ConfigError(
          message("--exit ", options.exit, ": the network has exits 1 to ", config.blocks));
    }
    rule.kind = Kind::fixed;
    rule.exits = {options.exit - 1};
    rule.description = {{"kind", "fixed"}, {"exit", options.exit}};
  } else if (options.given("--threshold")) {
    rule.kind = Kind::thresholds;
    rule.thresholds.assign(rule.exits.size(), static_cast<float>(options.threshold));
    rule.description = {{"kind", "threshold"}, {"threshold", options.threshold}};
  } else if (options.given("--thresholds")) {
    rule.kind = Kind::thresholds;
    use_thresholds_file(options, checkpoint, config, rule);
  } else if (options.given("--deadline-ms")) {
    rule.kind = Kind::deadline;
    rule.deadline_us = 1000.0 * options.deadline_ms;
    rule.description = {{"kind", "deadline"}, {"deadline_ms", options.deadline_ms}};
  } else {
    rule.kind = options.all_exits ? Kind::all : Kind::last;
    rule.description = {{"kind", options.all_exits ? "all exits" : "last exit"}};
  }
  return rule;
}

}  // namespace msd
