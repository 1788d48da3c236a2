// SPDX-License-Identifier: MIT
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/common/table.h"
#include "apps/train/command.h"
#include "models/checkpoint.h"
#include "models/cost.h"

namespace msd {

int print_costs(const TrainCommand& command) {
  std::optional<MsdnetConfig> base;
  if (!command.weights.empty()) base = read_checkpoint(command.weights).config;
  const MsdnetConfig config = command.model.resolve(base, command.data.classes_of_name());
  const std::vector<ExitCost> costs = exit_costs(make_architecture(config));
  if (command.json) {
    nlohmann::json exits = nlohmann::json::array();
    for (const ExitCost& cost : costs) {
      exits.push_back({{"ops", cost.ops},
                       {"mul_adds", cost.mul_adds},
                       {"ops_lazy", cost.ops_lazy},
                       {"mul_adds_lazy", cost.mul_adds_lazy},
                       {"mul_adds_direct", cost.mul_adds_direct},
                       {"params", cost.params},
                       {"activation_elems", cost.activation_elems}});
    }
    std::cout << nlohmann::json{{"params", costs.back().params}, {"exits", exits}}.dump() << '\n';
    return 0;
  }
  Table table({"exit", "ops", "mul-adds", "lazy", "direct", "params", "activations"});
  for (std::size_t i = 0; i < costs.size(); ++i) {
    const ExitCost& cost = costs[i];
    table.add_row({std::to_string(i + 1), std::to_string(cost.ops), std::to_string(cost.mul_adds),
                   std::to_string(cost.mul_adds_lazy), std::to_string(cost.mul_adds_direct),
                   std::to_string(cost.params), std::to_string(cost.activation_elems)});
  }
  table.print(std::cout);
  return 0;
}

}  // namespace msd
