// SPDX-License-Identifier: MIT
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "models/config.h"

namespace msd {

/// The options that choose a network: a preset, and one option a field that overrides it.
class ModelOptions {
 public:
  void add_to(CLI::App& app);

  /// `base` (a checkpoint's configuration) or the preset, with what the command line says put over
  /// it. dataset_classes: used where neither --classes nor `base` says otherwise. Throws
  /// ConfigError for a configuration that cannot be built.
  MsdnetConfig resolve(const std::optional<MsdnetConfig>& base,
                       std::optional<std::int64_t> dataset_classes) const;
  /// True where the command line names a preset or any field.
  bool given() const;
  /// --image-size, where the command line has it.
  std::optional<std::int64_t> image_size() const;

 private:
  struct Override {
    const CLI::Option* option;
    std::function<void(MsdnetConfig&)> apply;
  };

  std::string preset_ = "cifar10-tiny";
  const CLI::Option* preset_option_ = nullptr;
  const CLI::Option* image_size_option_ = nullptr;
  const CLI::Option* bottleneck_factors_option_ = nullptr;
  MsdnetConfig values_;  // what the options wrote, meaningful where given
  std::string step_mode_, prune_, input_kind_, growth_factors_, bottleneck_factors_;
  std::vector<Override> overrides_;
};

/// "1-2-4" as numbers; throws ConfigError naming `option`.
std::vector<std::int64_t> parse_factors(const std::string& text, const std::string& option);

}  // namespace msd
