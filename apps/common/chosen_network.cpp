// SPDX-License-Identifier: MIT
#include "apps/common/chosen_network.h"

#include <nlohmann/json.hpp>

#include "apps/common/table.h"
#include "kernels/check.h"
#include "models/network/cost.h"

namespace msd {

std::string ChosenNetwork::line() const {
  const ExitCost cost = exit_costs(make_architecture(config)).back();
  const std::string changed = changes.options();
  return message("network: ", origin, changed.empty() ? "" : " with ", changed, ": ", config.blocks,
                 config.blocks == 1 ? " exit, " : " exits, ", cost.params,
                 " parameters, to the last exit ", human_count(static_cast<double>(cost.mul_adds)),
                 " mul-adds (", human_count(static_cast<double>(cost.ops)), " ops) an image");
}

nlohmann::json ChosenNetwork::json() const {
  const ExitCost cost = exit_costs(make_architecture(config)).back();
  return {{"origin", origin},       {"changes", changes.options()}, {"config", config},
          {"exits", config.blocks}, {"params", cost.params},        {"mul_adds", cost.mul_adds},
          {"ops", cost.ops}};
}

}  // namespace msd
