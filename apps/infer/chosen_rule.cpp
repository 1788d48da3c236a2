// SPDX-License-Identifier: MIT
#include "apps/infer/chosen_rule.h"

#include <nlohmann/json.hpp>

#include "kernels/check.h"

namespace msd {
namespace {

using nlohmann::ordered_json;

BudgetPoint choose_point(const InferOptions& options, const Checkpoint& checkpoint,
                         const MsdnetConfig& config) {
  const ThresholdsFile file = read_thresholds(options.thresholds);
  require_same_model(file, options.thresholds, checkpoint.fingerprint, config, checkpoint.path);
  return options.given("--p") ? point_for_p(file, options.p)
                              : point_for_budget(file, options.budget);
}

}  // namespace

ChosenRule choose_exit_rule(const InferOptions& options, const Checkpoint& checkpoint,
                            const MsdnetConfig& config) {
  if (options.given("--exit")) {
    if (options.exit > config.blocks) {
      throw ConfigError(
          message("--exit ", options.exit, ": the network has exits 1 to ", config.blocks));
    }
    return {FixedExit{options.exit}, std::nullopt};
  }
  if (options.given("--threshold")) {
    return {Threshold{static_cast<float>(options.threshold)}, std::nullopt};
  }
  if (options.given("--thresholds")) {
    const BudgetPoint point = choose_point(options, checkpoint, config);
    return {point.thresholds, point};
  }
  if (options.given("--deadline-ms")) return {Deadline{1000.0 * options.deadline_ms}, std::nullopt};
  if (options.all_exits) return {EveryExit{}, std::nullopt};
  return {LastExit{}, std::nullopt};
}

ordered_json exit_rule_json(const InferOptions& options, const ChosenRule& chosen) {
  struct Json {
    const InferOptions& options;
    const std::optional<BudgetPoint>& point;

    ordered_json operator()(const LastExit&) const { return {{"kind", "last exit"}}; }
    ordered_json operator()(const EveryExit&) const { return {{"kind", "all exits"}}; }
    ordered_json operator()(const FixedExit& fixed) const {
      return {{"kind", "fixed"}, {"exit", fixed.exit}};
    }
    ordered_json operator()(const Threshold&) const {
      return {{"kind", "threshold"}, {"threshold", options.threshold}};
    }
    ordered_json operator()(const Thresholds&) const {
      ordered_json json = {{"kind", "thresholds"}, {"file", options.thresholds}};
      if (options.given("--budget")) json["budget"] = options.budget;
      json["p"] = point->p;
      json["expected_mul_adds"] = point->expected_mul_adds;
      return json;
    }
    ordered_json operator()(const Deadline&) const {
      return {{"kind", "deadline"}, {"deadline_ms", options.deadline_ms}};
    }
  };
  return std::visit(Json{options, chosen.point}, chosen.rule);
}

}  // namespace msd
