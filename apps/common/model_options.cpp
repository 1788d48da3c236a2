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

void ModelOptions::add_to(CommandLine& line) {
  const std::string group = "Model (defaults: those of the preset or checkpoint)";
  std::string names;
  for (const Preset& p : presets()) names += (names.empty() ? "" : ", ") + std::string(p.name);
  preset_option_ =
      line.option("--preset", preset_, "Named network: " + names).show_default().group(group);
  using C = MsdnetConfig;
  using H = ConfigHints;
  const auto number = [&](const char* name, std::int64_t C::*field,
                          std::optional<std::int64_t> H::*hint, const std::string& text) {
    const Option option = line.option(name, values_.*field, text).group(group);
    decides(option, field, hint);
    return option;
  };
  const auto choice = [&](const char* name, std::string& target, const char* text,
                          const std::vector<std::string>& choices) {
    return line.option(name, target, text).one_of(choices).group(group);
  };
  const auto factors = [&](const char* name, std::string& target, const char* text,
                           std::vector<std::int64_t> C::*field,
                           std::optional<std::vector<std::int64_t>> H::*hint) {
    const Option option = line.option(name, target, text).group(group);
    decides<std::vector<std::int64_t>>(option, field, hint, [&target, field, name](C& c) {
      c.*field = parse_factors(target, name);
    });
    return option;
  };
  number("--blocks", &C::blocks, &H::blocks, "Blocks, each ending in an exit");
  decides<StepMode>(
      choice("--step-mode", step_mode_, "Layers of the later blocks: all --step, or growing",
             {"even", "lin_grow"}),
      &C::step_mode, &H::step_mode,
      [this](C& c) { c.step_mode = step_mode_ == "even" ? StepMode::even : StepMode::lin_grow; });
  number("--step", &C::step, &H::step, "Layers a later block (lin_grow: step*i+1 in block i+1)");
  number("--base", &C::base, &H::base, "Layers of the first block");
  number("--init-channels", &C::init_channels, &H::init_channels,
         "Channels of the stem, times the factor");
  number("--growth-rate", &C::growth_rate, &H::growth_rate,
         "New channels a layer, times the factor");
  factors("--growth-factors", growth_factors_, "One a scale, finest first, as 1-2-4",
          &C::growth_factors, &H::growth_factors);
  bottleneck_factors_option_ =
      factors("--bottleneck-factors", bottleneck_factors_,
              "Bottleneck width in units of a branch's outputs, one a scale",
              &C::bottleneck_factors, &H::bottleneck_factors);
  decides(line.flag("--bottleneck,!--no-bottleneck", values_.bottleneck,
                    "1x1 convolutions before the 3x3 ones, or none")
              .group(group),
          &C::bottleneck, &H::bottleneck);
  decides<PruneMode>(choice("--prune", prune_, "Where the finer scales end", {"max", "min"}),
                     &C::prune, &H::prune,
                     [this](C& c) { c.prune = prune_ == "max" ? PruneMode::max : PruneMode::min; });
  decides(line.option("--reduction", values_.reduction,
                      "Share of the channels a transition keeps; 0: no transitions")
              .group(group),
          &C::reduction, &H::reduction);
  number("--classes", &C::classes, &H::classes,
         "Classes (default: the data set's, else the preset's)");
  decides<InputKind>(
      choice("--input-kind", input_kind_, "Stem and classifier", {"cifar", "imagenet"}),
      &C::input_kind, &H::input_kind, [this](C& c) {
        c.input_kind = input_kind_ == "cifar" ? InputKind::cifar : InputKind::imagenet;
      });
  image_size_option_ =
      number("--image-size", &C::image_size, &H::image_size,
             "Height and width of the input; images of --dataset " +
                 list_datasets(
                     [](const DatasetRow& row) { return row.resizes ? std::string(row.name) : ""; },
                     " and ") +
                 " are resized");
}

ConfigHints ModelOptions::hints() const {
  MsdnetConfig written;
  ConfigHints hints;
  for (const Override& override : overrides_) {
    if (!override.option.given()) continue;
    override.apply(written);
    override.hint(hints, written);
  }
  return hints;
}

std::optional<std::int64_t> ModelOptions::image_size() const {
  return image_size_option_.given() ? std::optional(values_.image_size) : std::nullopt;
}

MsdnetConfig ModelOptions::resolve(const std::optional<MsdnetConfig>& base,
                                   std::optional<std::int64_t> dataset_classes) const {
  const bool from_preset = preset_option_.given() || !base.has_value();
  MsdnetConfig config = from_preset ? preset(preset_) : *base;
  if (from_preset && dataset_classes.has_value()) config.classes = *dataset_classes;
  for (const Override& override : overrides_) {
    if (override.option.given()) override.apply(config);
  }
  if (bottleneck_factors_option_.given() && !config.bottleneck) {
    throw ConfigError(
        "--bottleneck-factors has no effect with --no-bottleneck; leave one of them out");
  }
  config.check();
  return config;
}

bool ModelOptions::preset_given() const { return preset_option_.given(); }

}  // namespace msd
