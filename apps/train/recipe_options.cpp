// SPDX-License-Identifier: MIT
#include "apps/train/recipe_options.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/common/number_text.h"
#include "engine/files/json_text.h"
#include "kernels/check.h"

namespace msd {
namespace {

std::string exit_weights_problem(const std::string& text) {
  std::vector<double> weights;
  const std::string problem = read_numbers(text, weights);
  if (!problem.empty()) return problem + "; give one for each exit, like 1,1,2";
  const auto is = [&](auto condition) {
    return std::any_of(weights.begin(), weights.end(), condition);
  };
  if (is([](double weight) { return weight < 0; })) {
    return message(text, " holds a negative weight; give 0 or more for each exit");
  }
  if (!weights.empty() && !is([](double weight) { return weight > 0; })) {
    return message(text, " leaves nothing to learn; give one exit at least a weight above 0");
  }
  return "";
}

std::string milestones_problem(const std::string& text) {
  try {
    parse_milestones(text, /*epochs=*/1);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

void RecipeOptions::add_to(CommandLine& line) {
  line_ = &line;
  const std::string group = "Training";
  const auto option = [&](const char* name, auto& value, const char* text) {
    return line.option(name, value, text).show_default().group(group);
  };
  option("--epochs", epochs, "Passes over the training images").range(1, 1'000'000);
  option("--batch-size", batch_size, "Images a step").range(1, 1'000'000);
  line.flag("--drop-last", drop_last, "Leave out an epoch's last batch where it is short")
      .group(group);
  option("--lr", lr_, "Learning rate at the start").above_zero();
  option("--momentum", sgd_.momentum, "Of SGD").below_one();
  line.flag("--nesterov,!--no-nesterov", sgd_.nesterov, "Nesterov's momentum [default: on]")
      .group(group);
  option("--weight-decay", sgd_.weight_decay, "On every parameter that has a gradient").at_least(0);
  option("--lr-schedule", schedule_, "How the rate falls").one_of({"multistep", "cosine"});
  option("--lr-milestones", milestones_, "multistep: when, in per cent of all epochs or in epochs")
      .may_be_empty()
      .check(milestones_problem);
  option("--lr-gamma", gamma_, "multistep: what the rate is multiplied by").above_zero();
  option("--warmup-epochs", warmup_epochs_, "Epochs over which the rate rises from 0").at_least(0);
  option("--exit-weights", exit_weights_, "Weight of each exit's loss, as 1,1,2 (empty: all 1)")
      .may_be_empty()
      .check(exit_weights_problem);
  option("--init", init_, "How convolutions start").one_of({"he-fan-out", "he-fan-in"});
  option("--augment", augment_, "standard: 4-pixel border, random crop and mirror")
      .one_of({"standard", "none"});
  precision.add_to(line, group);
  option("--seed", seed, "Of initial weights, order and augmentation");
}

void RecipeOptions::check_usage() const {
  if (schedule_ == "cosine") {
    line_->refuse_without_effect({"--lr-milestones", "--lr-gamma"}, "--lr-schedule cosine");
  }
  if (sgd_.momentum == 0.0 && sgd_.nesterov) {
    line_->refuse_without_effect({"--nesterov"}, "--momentum 0");
  }
}

Augmentation RecipeOptions::augmentation() const {
  return augment_ == "standard" ? Augmentation::standard : Augmentation::none;
}

Initialization RecipeOptions::initialization() const {
  return init_ == "he-fan-out" ? Initialization::he_fan_out : Initialization::he_fan_in;
}

ScheduleOptions RecipeOptions::schedule() const {
  ScheduleOptions options;
  options.kind = schedule_ == "cosine" ? ScheduleKind::cosine : ScheduleKind::multistep;
  options.lr = lr_;
  options.milestones = parse_milestones(milestones_, epochs);
  options.gamma = gamma_;
  options.warmup_epochs = warmup_epochs_;
  return options;
}

std::vector<double> RecipeOptions::exit_weights(std::int64_t exits) const {
  const std::string problem = exit_weights_problem(exit_weights_);
  if (!problem.empty()) throw ConfigError("--exit-weights: " + problem);
  std::vector<double> weights;
  read_numbers(exit_weights_, weights);
  if (weights.empty()) weights.assign(static_cast<std::size_t>(exits), 1.0);
  if (static_cast<std::int64_t>(weights.size()) != exits) {
    throw ConfigError(message("--exit-weights has ", weights.size(), " values but the network has ",
                              exits, " exits"));
  }
  return weights;
}

void RecipeOptions::take(const OptimizerSettings& settings) {
  const auto take = [&](const char* option, auto& value, const auto& setting) {
    if (!line_->given(option)) value = setting;
  };
  if (settings.dampening != 0.0) {
    throw ConfigError(message("its optimiser has dampening ", settings.dampening,
                              ", which this SGD has not; leave --optimizer-state out"));
  }
  take("--lr", lr_, settings.lr);
  take("--momentum", sgd_.momentum, settings.momentum);
  take("--nesterov", sgd_.nesterov, settings.nesterov);
  take("--weight-decay", sgd_.weight_decay, settings.weight_decay);
}

void RecipeOptions::take_optimizer(const Checkpoint& checkpoint, Network& network) {
  const StateDict& state = checkpoint.state;
  const std::string file = checkpoint.path.string();
  if (!state.optimizer) {
    throw ConfigError(state.optimizer_problem.empty()
                          ? file + ": has no state of an optimiser; leave --optimizer-state out"
                          : file + ": cannot use its optimiser's state: " +
                                state.optimizer_problem + "; leave --optimizer-state out");
  }
  try {
    take(*state.optimizer);
  } catch (const ConfigError& error) {
    throw ConfigError(file + ": " + error.what());
  }
  checkpoint.load_velocities(network);
}

nlohmann::json RecipeOptions::to_json() const {
  return {{"epochs", epochs},
          {"batch_size", batch_size},
          {"drop_last", drop_last},
          {"lr", lr_},
          {"momentum", sgd_.momentum},
          {"nesterov", sgd_.nesterov},
          {"weight_decay", sgd_.weight_decay},
          {"lr_schedule", schedule_},
          {"lr_milestones", milestones_},
          {"lr_gamma", gamma_},
          {"warmup_epochs", warmup_epochs_},
          {"exit_weights", exit_weights_},
          {"init", init_},
          {"augment", augment_},
          {"precision", precision.name},
          {"seed", seed}};
}

void RecipeOptions::set_defaults(const nlohmann::json& stored) {
  read_member(stored, "epochs", epochs);
  read_member(stored, "batch_size", batch_size);
  read_member(stored, "drop_last", drop_last);
  read_member(stored, "lr", lr_);
  read_member(stored, "momentum", sgd_.momentum);
  read_member(stored, "nesterov", sgd_.nesterov);
  read_member(stored, "weight_decay", sgd_.weight_decay);
  read_member(stored, "lr_schedule", schedule_);
  read_member(stored, "lr_milestones", milestones_);
  read_member(stored, "lr_gamma", gamma_);
  read_member(stored, "warmup_epochs", warmup_epochs_);
  read_member(stored, "exit_weights", exit_weights_);
  read_member(stored, "init", init_);
  read_member(stored, "augment", augment_);
  read_member(stored, "precision", precision.name);
  read_member(stored, "seed", seed);
}

}  // namespace msd
