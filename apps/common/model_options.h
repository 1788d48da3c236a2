// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/common/options.h"
#include "models/network/config_hints.h"

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
  bool preset_given() const { return preset_option_.given(); }
  /// The fields that the command line names. Throws ConfigError for factors that are none.
  ConfigHints hints() const;
  /// --image-size, where the command line has it.
  std::optional<std::int64_t> image_size() const;

 private:
  Option add(CommandLine& line, const NumberField& field);
  Option add(CommandLine& line, const FactorsField& field);
  Option add(CommandLine& line, const ShareField& field);
  Option add(CommandLine& line, const FlagField& field);
  template <typename Enum>
  Option add(CommandLine& line, const ChoiceField<Enum>& field);

  template <typename T>
  T value_of(const ConfigField<T>& field) const;
  std::vector<std::int64_t> value_of(const FactorsField& field) const;
  template <typename Enum>
  Enum value_of(const ChoiceField<Enum>& field) const;

  bool given(std::string_view key) const;

  std::string preset_ = "cifar10-tiny";
  Option preset_option_;
  std::map<std::string_view, Option> options_;  // by the field's key
  // What the options wrote, meaningful where given: a value, or the text of factors and choices.
  MsdnetConfig values_;
  std::map<std::string_view, std::string> texts_;
};

/// "1-2-4" as numbers; throws ConfigError naming `option`.
std::vector<std::int64_t> parse_factors(const std::string& text, const std::string& option);

}  // namespace msd
