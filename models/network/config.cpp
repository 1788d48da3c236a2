// SPDX-License-Identifier: MIT
#include "models/network/config.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "kernels/check.h"

namespace msd {

std::string_view name(InputKind kind) { return kind == InputKind::cifar ? "cifar" : "imagenet"; }
std::string_view name(StepMode mode) { return mode == StepMode::even ? "even" : "lin_grow"; }
std::string_view name(PruneMode mode) { return mode == PruneMode::max ? "max" : "min"; }

namespace {

template <typename Enum>
Enum parse(const std::string& text, std::string_view option, Enum first, Enum second) {
  if (text == name(first)) return first;
  if (text == name(second)) return second;
  throw ConfigError(
      message(option, " is ", printable(text), "; use ", name(first), " or ", name(second)));
}

void require(bool condition, const std::string& text) {
  if (!condition) throw ConfigError(text);
}

void require_range(std::string_view option, std::int64_t value, std::int64_t low,
                   std::int64_t high) {
  require(value >= low && value <= high,
          message("--", option, " is ", value, "; it must be between ", low, " and ", high));
}

}  // namespace

std::int64_t MsdnetConfig::block_layers(std::int64_t block) const {
  if (block == 0) return base;
  return step_mode == StepMode::even ? step : step * block + 1;
}

std::int64_t MsdnetConfig::layers() const {
  std::int64_t total = 0;
  for (std::int64_t block = 0; block < blocks; ++block) total += block_layers(block);
  return total;
}

void MsdnetConfig::check() const {
  require_range("blocks", blocks, 1, 1000);
  require_range("step", step, 1, 1000);
  require_range("base", base, 1, 1000);
  require_range("init-channels", init_channels, 1, 65536);
  require_range("growth-rate", growth_rate, 1, 65536);
  require_range("classes", classes, 1, 1 << 24);
  require_range("image-size", image_size, 1, 1 << 16);
  require(!growth_factors.empty() && growth_factors.size() <= 16,
          message("--growth-factors names ", growth_factors.size(), " scales; use 1 to 16"));
  for (const std::int64_t factor : growth_factors) require_range("growth-factors", factor, 1, 4096);
  constexpr std::int64_t kMostMaps = 4096;  // what a file may ask for; ImageNet's largest has 140
  require(layers() * scales() <= kMostMaps,
          message("--blocks ", blocks, ", --step ", step, " and --base ", base, " make ", layers(),
                  " layers of ", scales(), " scales; at most ", kMostMaps / scales(),
                  " layers can be built"));
  if (bottleneck) {
    require(bottleneck_factors.size() == growth_factors.size(),
            message("--bottleneck-factors has ", bottleneck_factors.size(),
                    " values but --growth-factors ", growth_factors.size(),
                    "; give one for each scale"));
    for (const std::int64_t f : bottleneck_factors) require_range("bottleneck-factors", f, 1, 4096);
  }
  require(std::isfinite(reduction) && reduction >= 0 && reduction <= 1,
          message("--reduction is ", reduction, "; it must be between 0 (no transitions) and 1"));
}

std::string dashed(const std::vector<std::int64_t>& factors) {
  std::string text;
  for (const std::int64_t factor : factors) {
    text += (text.empty() ? "" : "-") + std::to_string(factor);
  }
  return text;
}

void to_json(nlohmann::json& json, const MsdnetConfig& c) {
  json = {{"blocks", c.blocks},
          {"step_mode", name(c.step_mode)},
          {"step", c.step},
          {"base", c.base},
          {"init_channels", c.init_channels},
          {"growth_rate", c.growth_rate},
          {"growth_factors", c.growth_factors},
          {"bottleneck", c.bottleneck},
          {"bottleneck_factors", c.bottleneck_factors},
          {"prune", name(c.prune)},
          {"reduction", c.reduction},
          {"classes", c.classes},
          {"input_kind", name(c.input_kind)},
          {"image_size", c.image_size}};
}

void from_json(const nlohmann::json& json, MsdnetConfig& c) {
  const nlohmann::json known = MsdnetConfig{};
  if (!json.is_object()) throw ConfigError("the model configuration is not a JSON object");
  for (const auto& [key, value] : json.items()) {
    require(known.contains(key),
            "the model configuration has an unknown key \"" + printable(key) + "\"");
    // The library would cut a fraction off. A list of numbers is one, or else fails below.
    const bool whole = known[key].is_number_integer() || known[key].is_array();
    for (const nlohmann::json& number : value) {
      require(!whole || number.is_number_integer(),
              "the model configuration's \"" + key + "\" is not made of whole numbers");
    }
  }
  try {
    const MsdnetConfig d;
    c.blocks = json.value("blocks", d.blocks);
    c.step_mode = parse(json.value("step_mode", std::string(name(d.step_mode))), "step_mode",
                        StepMode::even, StepMode::lin_grow);
    c.step = json.value("step", d.step);
    c.base = json.value("base", d.base);
    c.init_channels = json.value("init_channels", d.init_channels);
    c.growth_rate = json.value("growth_rate", d.growth_rate);
    c.growth_factors = json.value("growth_factors", d.growth_factors);
    c.bottleneck = json.value("bottleneck", d.bottleneck);
    c.bottleneck_factors = json.value("bottleneck_factors", d.bottleneck_factors);
    c.prune = parse(json.value("prune", std::string(name(d.prune))), "prune", PruneMode::max,
                    PruneMode::min);
    c.reduction = json.value("reduction", d.reduction);
    c.classes = json.value("classes", d.classes);
    c.input_kind = parse(json.value("input_kind", std::string(name(d.input_kind))), "input_kind",
                         InputKind::cifar, InputKind::imagenet);
    c.image_size = json.value("image_size", d.image_size);
  } catch (const nlohmann::json::exception& error) {
    throw ConfigError(
        message("the model configuration has a value of the wrong type: ", error.what()));
  }
  c.check();
}

}  // namespace msd
