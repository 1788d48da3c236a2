// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/common/chosen_network.h"
#include "apps/common/options.h"
#include "models/network/config_hints.h"

namespace msd {

/// The network that options change.
struct BaseNetwork {
  MsdnetConfig config;
  std::string origin;  // the file it is of
};

/// The options that choose a network: a preset, and one option a field that overrides it.
class ModelOptions {
 public:
  /// for_training: without a checkpoint, the data set's network is the default.
  void add_to(CommandLine& line, bool for_training = false);

  /// The preset, or else `base` (a checkpoint's), or else the network that is usual for the data
  /// set; over it what the command line says. Of a data set of pictures, ImageNet's network is the
  /// usual one for --input-kind imagenet and from 224 pixels on, else CIFAR's; of the built-in one,
  /// CIFAR-10's where an option says anything of the network but its classes. dataset: as in
  /// data/catalog.h. dataset_classes: used where neither --classes nor `base` says otherwise.
  /// Throws ConfigError for a configuration that cannot be built.
  ChosenNetwork choose(const std::optional<BaseNetwork>& base, std::string_view dataset,
                       std::optional<std::int64_t> dataset_classes) const;
  bool preset_given() const { return preset_option_.given(); }
  /// Of the program they are of.
  const std::string& program() const { return program_; }
  /// True where the command line says anything of the network.
  bool any_given() const;
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
  const Preset& usual(std::string_view dataset) const;

  std::string program_;
  std::string preset_;
  Option preset_option_;
  std::map<std::string_view, Option> options_;  // by the field's key
  // What the options wrote, meaningful where given: a value, or the text of factors and choices.
  MsdnetConfig values_;
  std::map<std::string_view, std::string> texts_;
};

/// "1-2-4" as numbers; throws ConfigError naming `option`.
std::vector<std::int64_t> parse_factors(const std::string& text, const std::string& option);

}  // namespace msd
