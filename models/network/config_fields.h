// SPDX-License-Identifier: MIT
// The fields of MsdnetConfig, one row each. JSON, options with their help, ConfigHints and checks
// follow from the rows, in their order; what a new field's value must be beside others' is in
// MsdnetConfig::check().
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "models/network/config.h"

namespace msd {

/// What every row has.
template <typename T>
struct ConfigField {
  T MsdnetConfig::*member;
  const char* key;   // in JSON
  const char* help;  // of the option, which is called as the key
};

// The kinds of fields. Whoever goes through the rows says what each kind is to him, by overloads.
struct NumberField : ConfigField<std::int64_t> {
  std::int64_t largest;  // the least is 1
};
struct FactorsField : ConfigField<std::vector<std::int64_t>> {};  // one a scale: "1-2-4"
struct ShareField : ConfigField<double> {};
struct FlagField : ConfigField<bool> {};  // the option has a twin, --no-...
template <typename Enum>
struct ChoiceField : ConfigField<Enum> {
  std::array<Enum, 2> choices;  // by name()
};

/// f(row) for every field.
template <typename F>
void for_each_config_field(const F& f) {
  using C = MsdnetConfig;
  f(NumberField{{&C::blocks, "blocks", "Blocks, each ending in an exit"}, C::kLargestBlocks});
  f(ChoiceField<StepMode>{
      {&C::step_mode, "step_mode", "Layers of the later blocks: all --step, or growing"},
      {StepMode::even, StepMode::lin_grow}});
  f(NumberField{{&C::step, "step", "Layers a later block (lin_grow: step*i+1 in block i+1)"},
                C::kLargestStep});
  f(NumberField{{&C::base, "base", "Layers of the first block"}, C::kLargestStep});
  f(NumberField{{&C::init_channels, "init_channels", "Channels of the stem, times the factor"},
                C::kLargestChannels});
  f(NumberField{{&C::growth_rate, "growth_rate", "New channels a layer, times the factor"},
                C::kLargestChannels});
  f(FactorsField{{&C::growth_factors, "growth_factors", "One a scale, finest first, as 1-2-4"}});
  f(FactorsField{{&C::bottleneck_factors, "bottleneck_factors",
                  "Bottleneck width in units of a branch's outputs, one a scale"}});
  f(FlagField{{&C::bottleneck, "bottleneck", "1x1 convolutions before the 3x3 ones, or none"}});
  f(ChoiceField<PruneMode>{{&C::prune, "prune", "Where the finer scales end"},
                           {PruneMode::max, PruneMode::min}});
  f(ShareField{
      {&C::reduction, "reduction", "Share of the channels a transition keeps; 0: no transitions"}});
  f(NumberField{{&C::classes, "classes", "Classes (default: the data set's, else the preset's)"},
                1 << 24});
  f(ChoiceField<InputKind>{{&C::input_kind, "input_kind", "Stem and classifier"},
                           {InputKind::cifar, InputKind::imagenet}});
  f(NumberField{{&C::image_size, "image_size", "Height and width of the input"}, 1 << 16});
}

/// The key in the member's row.
template <typename T>
std::string_view config_key(T MsdnetConfig::*member) {
  std::string_view key;
  for_each_config_field([&]<typename U>(const ConfigField<U>& field) {
    if constexpr (std::same_as<T, U>) {
      if (field.member == member) key = field.key;
    }
  });
  return key;
}

/// "--step-mode" for "step_mode".
inline std::string option_name(std::string_view key) {
  std::string option = "--" + std::string(key);
  std::replace(option.begin(), option.end(), '_', '-');
  return option;
}

/// The choice of that name, where there is one.
template <typename Enum>
std::optional<Enum> choice_named(const ChoiceField<Enum>& field, std::string_view wanted) {
  for (const Enum choice : field.choices) {
    if (name(choice) == wanted) return choice;
  }
  return std::nullopt;
}

}  // namespace msd
