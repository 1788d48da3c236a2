// SPDX-License-Identifier: MIT
#include "apps/train/costs.h"

#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/common/model_file.h"
#include "apps/common/output_file.h"
#include "apps/common/table.h"
#include "engine/files/json_text.h"
#include "models/network/cost.h"
#include "models/network/floor.h"
#include "models/weights/checkpoint.h"

namespace msd {
namespace {

/// What a device must do at least, and how long that takes where its rates are given.
class Floors {
 public:
  explicit Floors(const TrainOptions& options) {
    if (options.bandwidth > 0) rates_ = {options.bandwidth, options.matrix_rate};
  }

  nlohmann::json json(const Work& work) const {
    nlohmann::json json = {{"bytes", work.bytes}, {"flops", work.flops}};
    if (rates_) json["floor_ms"] = 1e3 * floor_seconds(work, *rates_);
    return json;
  }
  std::vector<std::string> row(const std::string& what, const Work& work) const {
    return {what, human_count(work.bytes), human_count(work.flops),
            rates_ ? fixed(1e3 * floor_seconds(work, *rates_), 4) : "-"};
  }

 private:
  std::optional<DeviceRates> rates_;
};

}  // namespace

void print_costs(const TrainOptions& options) {
  std::optional<BaseNetwork> base;
  if (!options.weights.empty()) {
    base = base_network(read_weights(options.weights), options.model);
  }
  const ChosenNetwork chosen =
      options.model.choose(base, options.data.name(), options.data.classes_of_name());
  if (!base && options.data.dataset_given() && !options.data.classes_of_name() &&
      !options.model.hints().get(&MsdnetConfig::classes)) {
    std::cerr << "msd-train: --dry-run does not read the folder: " << chosen.config.classes
              << " classes are taken; say theirs with --classes\n";
  }
  const Architecture net = make_architecture(chosen.config);
  const std::vector<ExitCost> costs = exit_costs(net);
  const Floors floors(options);
  const DType dtype = options.recipe.precision.activations();
  const Work step = training_step_work(net, options.recipe.batch_size, dtype);
  const std::vector<Work> stages = stage_work(net, 1, dtype);
  if (options.json) {
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
    nlohmann::json of_stages = nlohmann::json::array();
    for (const Work& stage : stages) of_stages.push_back(floors.json(stage));
    nlohmann::json of_step = floors.json(step);
    of_step["batch"] = options.recipe.batch_size;
    const nlohmann::json json = {
        {"network", chosen.json()}, {"params", costs.back().params},
        {"exits", exits},           {"precision", options.recipe.precision.name},
        {"training_step", of_step}, {"stages", of_stages}};
    std::cout << printed_json(json) << '\n';
    return require_printed();
  }
  std::cout << chosen.line() << "\n\n";
  Table table({"exit", "ops", "mul-adds", "lazy", "direct", "params", "activations"});
  for (std::size_t i = 0; i < costs.size(); ++i) {
    const ExitCost& cost = costs[i];
    table.add_row({std::to_string(i + 1), std::to_string(cost.ops), std::to_string(cost.mul_adds),
                   std::to_string(cost.mul_adds_lazy), std::to_string(cost.mul_adds_direct),
                   std::to_string(cost.params), std::to_string(cost.activation_elems)});
  }
  table.print(std::cout);
  std::cout << "\nat least, with " << options.recipe.precision.name << " activations:\n";
  Table least({"work", "bytes", "FLOP", "ms"});
  least.add_row(floors.row(message("training step, ", options.recipe.batch_size, " images"), step));
  for (std::size_t i = 0; i < stages.size(); ++i) {
    least.add_row(floors.row(message("stage of exit ", i + 1, ", 1 image"), stages[i]));
  }
  least.print(std::cout);
  require_printed();
}

}  // namespace msd
