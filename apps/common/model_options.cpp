// SPDX-License-Identifier: MIT
#include "apps/common/model_options.h"

#include <algorithm>
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

void ModelOptions::add_to(CommandLine& line, bool for_training) {
  program_ = line.program();
  const std::string group = "Model (defaults: those of the preset, checkpoint or data set)";
  std::string help, usual;
  for (const Preset& p : presets()) {
    help += (help.empty() ? "Named network, of which the options below change parts: " : ", ") +
            std::string(p.name);
    if (p.usual_for.empty()) continue;
    usual += (usual.empty() ? "" : ", ") + message(p.name, " for ", p.usual_for);
  }
  if (for_training) {
    help += ". Without it the data set's: " + usual +
            " (--input-kind imagenet or --image-size 224 and more); cifar10's where options change "
            "that of synthetic";
  }
  preset_option_ =
      line.option("--preset", preset_, help).default_text("the data set's").group(group);
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

bool ModelOptions::any_given() const {
  return preset_given() || std::any_of(options_.begin(), options_.end(),
                                       [](const auto& option) { return option.second.given(); });
}

const Preset& ModelOptions::usual(std::string_view dataset) const {
  constexpr std::int64_t kImagenetPixels = 224;
  const bool imagenet = given(config_key(&MsdnetConfig::input_kind))
                            ? hints().get(&MsdnetConfig::input_kind) == InputKind::imagenet
                            : image_size().value_or(0) >= kImagenetPixels;
  if (imagenet) return *usual_preset("imagenet");
  const DatasetRow* row = find_dataset(dataset);
  const bool made_here = row != nullptr && !row->needs_folder();
  const bool shaped = std::any_of(options_.begin(), options_.end(), [](const auto& option) {
    return option.second.given() && option.first != config_key(&MsdnetConfig::classes);
  });
  const Preset* preset = made_here && shaped ? nullptr : usual_preset(dataset);
  return preset == nullptr ? *usual_preset("cifar10") : *preset;
}

ChosenNetwork ModelOptions::choose(const std::optional<BaseNetwork>& base, std::string_view dataset,
                                   std::optional<std::int64_t> dataset_classes) const {
  ChosenNetwork chosen;
  if (preset_given()) {
    chosen.config = preset(preset_);
    chosen.origin = preset_;
  } else if (base) {
    chosen.config = base->config;
    chosen.origin = base->origin;
  } else {
    const Preset& preset = usual(dataset);
    chosen.config = preset.config;
    chosen.origin = preset.name;
  }
  const MsdnetConfig before = chosen.config;
  if ((preset_given() || !base) && dataset_classes) chosen.config.classes = *dataset_classes;
  hints().apply_to(chosen.config);
  if (given(config_key(&MsdnetConfig::bottleneck_factors)) && !chosen.config.bottleneck) {
    throw ConfigError(
        "--bottleneck-factors has no effect with --no-bottleneck; leave one of them out");
  }
  chosen.config.check();
  chosen.changes = ConfigHints::differences(chosen.config, before);
  return chosen;
}

}  // namespace msd
