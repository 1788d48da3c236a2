// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "apps/common/options.h"
#include "models/weights/deduce_config.h"

namespace msd {

/// The options that choose a network: a preset, and one option a field that overrides it.
class ModelOptions {
 public:
  void add_to(CommandLine& line);

  /// `base` (a checkpoint's configuration) or the preset, with what the command line says put over
  /// it. dataset_classes: used where neither --classes nor `base` says otherwise. Throws
  /// ConfigError for a configuration that cannot be built.
  MsdnetConfig resolve(const std::optional<MsdnetConfig>& base,
                       std::optional<std::int64_t> dataset_classes) const;
  bool preset_given() const;
  /// The fields that the command line names.
  ConfigHints hints() const;
  /// --image-size, where the command line has it.
  std::optional<std::int64_t> image_size() const;

 private:
  struct Override {
    Option option;
    std::function<void(MsdnetConfig&)> apply;
    std::function<void(ConfigHints&, const MsdnetConfig&)> hint;  // as the configuration has it
  };

  /// `option` decides a field: `apply` writes it, by default from values_.
  template <typename T>
  void decides(Option option, T MsdnetConfig::*field, std::optional<T> ConfigHints::*hint,
               std::function<void(MsdnetConfig&)> apply = nullptr) {
    if (!apply) apply = [this, field](MsdnetConfig& c) { c.*field = values_.*field; };
    overrides_.push_back({option, std::move(apply),
                          [=](ConfigHints& h, const MsdnetConfig& c) { h.*hint = c.*field; }});
  }

  std::string preset_ = "cifar10-tiny";
  Option preset_option_;
  Option image_size_option_;
  Option bottleneck_factors_option_;
  MsdnetConfig values_;  // what the options wrote, meaningful where given
  std::string step_mode_, prune_, input_kind_, growth_factors_, bottleneck_factors_;
  std::vector<Override> overrides_;
};

/// "1-2-4" as numbers; throws ConfigError naming `option`.
std::vector<std::int64_t> parse_factors(const std::string& text, const std::string& option);

}  // namespace msd
