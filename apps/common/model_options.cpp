// SPDX-License-Identifier: MIT
#include "apps/common/model_options.h"

#include <charconv>

#include "data/catalog.h"
#include "kernels/check.h"

namespace msd {

std::vector<std::int64_t> parse_factors(const std::string& text, const std::string& option) {
  std::vector<std::int64_t> factors;
  const char* at = text.data();
  const char* end = at + text.size();
  while (true) {
    std::int64_t value = 0;
    const auto [next, error] = std::from_chars(at, end, value);
    if (error != std::errc() || (next != end && *next != '-')) {
      throw ConfigError(
          message(option, " is ", text, "; give numbers like 1-2-4, finest scale first"));
    }
    factors.push_back(value);
    if (next == end) return factors;
    at = next + 1;
  }
}

Option ModelOptions::add(CommandLine& line, const NumberField& field) {
  std::string help = field.help;
  if (field.member == &MsdnetConfig::image_size) {
    const auto resized = [](const DatasetRow& row) {
      return row.resizes ? std::string(row.name) : std::string();
    };
    help += "; images of --dataset " + list_datasets(resized, " and ") + " are resized";
  }
  return line.option(option_name(field.key), values_.*field.member, help);
}

Option ModelOptions::add(CommandLine& line, const FactorsField& field) {
  return line.option(option_name(field.key), texts_[field.key], field.help);
}

Option ModelOptions::add(CommandLine& line, const ShareField& field) {
  return line.option(option_name(field.key), values_.*field.member, field.help);
}

Option ModelOptions::add(CommandLine& line, const FlagField& field) {
  const std::string names = option_name(field.key) + ",!" + option_name(message("no_", field.key));
  return line.flag(names, values_.*field.member, field.help);
}

template <typename Enum>
Option ModelOptions::add(CommandLine& line, const ChoiceField<Enum>& field) {
  std::vector<std::string> choices;
  for (const Enum choice : field.choices) choices.emplace_back(name(choice));
  return line.option(option_name(field.key), texts_[field.key], field.help)
      .one_of(std::move(choices));
}

void ModelOptions::add_to(CommandLine& line) {
  const std::string group = "Model (defaults: those of the preset or checkpoint)";
  std::string names;
  for (const Preset& p : presets()) names += (names.empty() ? "" : ", ") + std::string(p.name);
  preset_option_ =
      line.option("--preset", preset_, "Named network: " + names).show_default().group(group);
  for_each_config_field(
      [&](const auto& field) { options_[field.key] = add(line, field).group(group); });
}

template <typename T>
T ModelOptions::value_of(const ConfigField<T>& field) const {
  return values_.*field.member;
}

std::vector<std::int64_t> ModelOptions::value_of(const FactorsField& field) const {
  return parse_factors(texts_.at(field.key), option_name(field.key));
}

template <typename Enum>
Enum ModelOptions::value_of(const ChoiceField<Enum>& field) const {
  return choice_named(field, texts_.at(field.key)).value();  // one_of() let no other through
}

bool ModelOptions::given(std::string_view key) const {
  const auto found = options_.find(key);
  return found != options_.end() && found->second.given();
}

ConfigHints ModelOptions::hints() const {
  ConfigHints hints;
  for_each_config_field([&](const auto& field) {
    if (given(field.key)) hints.set(field.member, value_of(field));
  });
  return hints;
}

std::optional<std::int64_t> ModelOptions::image_size() const {
  if (!given(config_key(&MsdnetConfig::image_size))) return std::nullopt;
  return values_.image_size;
}

MsdnetConfig ModelOptions::resolve(const std::optional<MsdnetConfig>& base,
                                   std::optional<std::int64_t> dataset_classes) const {
  const bool from_preset = preset_given() || !base.has_value();
  MsdnetConfig config = from_preset ? preset(preset_) : *base;
  if (from_preset && dataset_classes.has_value()) config.classes = *dataset_classes;
  hints().apply_to(config);
  if (given(config_key(&MsdnetConfig::bottleneck_factors)) && !config.bottleneck) {
    throw ConfigError(
        "--bottleneck-factors has no effect with --no-bottleneck; leave one of them out");
  }
  config.check();
  return config;
}

}  // namespace msd
