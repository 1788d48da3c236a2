// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/common/options.h"
#include "apps/common/precision.h"
#include "data/loader.h"
#include "engine/optimizer.h"
#include "engine/schedule.h"
#include "models/network/network.h"
#include "models/weights/state_dict.h"

namespace msd {

/// The options of the recipe: everything that decides a run's result beside model and data.
class TrainingOptions {
 public:
  void add_to(CommandLine& line);

  /// Wrong usage where an option has no effect beside another. Call from the command line's
  /// on_parsed().
  void check_usage() const;

  std::int64_t epochs = 300;
  std::int64_t batch_size = 64;
  bool drop_last = false;
  std::uint64_t seed = 1;
  PrecisionOption precision;

  Augmentation augmentation() const;
  Initialization initialization() const;
  SgdOptions sgd() const { return sgd_; }
  ScheduleOptions schedule() const;
  /// One weight an exit; throws ConfigError where their number is wrong.
  std::vector<double> exit_weights(std::int64_t exits) const;

  /// Takes SGD's settings where the command line does not have them. Throws ConfigError where they
  /// cannot be used.
  void take(const OptimizerSettings& settings);

  nlohmann::json to_json() const;
  /// Takes over what a run stored; call between add_to() and parsing.
  void set_defaults(const nlohmann::json& stored);

 private:
  const CommandLine* line_ = nullptr;
  std::string augment_ = "standard", init_ = "he-fan-out";
  std::string schedule_ = "multistep", milestones_ = "50%,75%", exit_weights_;
  double lr_ = 0.1, gamma_ = 0.1, warmup_epochs_ = 0.0;
  SgdOptions sgd_;
};

}  // namespace msd
