// SPDX-License-Identifier: MIT
#include "models/network/config.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/files/json_text.h"
#include "kernels/check.h"
#include "models/network/config_fields.h"

namespace msd {
namespace {

using nlohmann::json;

void require(bool condition, const std::string& text) {
  if (!condition) throw ConfigError(text);
}

void require_range(std::string_view key, std::int64_t value, std::int64_t low, std::int64_t high) {
  require(value >= low && value <= high,
          message(option_name(key), " is ", value, "; it must be between ", low, " and ", high));
}

void require_ranges(std::string_view key, const std::vector<std::int64_t>& factors) {
  for (const std::int64_t f : factors) require_range(key, f, 1, MsdnetConfig::kLargestFactor);
}

// What a field's value must be, whatever the others are.
void check_alone(const NumberField& field, std::int64_t value) {
  require_range(field.key, value, 1, field.largest);
}
void check_alone(const FactorsField&, const std::vector<std::int64_t>&) {}  // by check()
void check_alone(const ShareField&, double) {}                              // by check()
void check_alone(const FlagField&, bool) {}
template <typename Enum>
void check_alone(const ChoiceField<Enum>&, Enum) {}

template <typename Field, typename T>
json stored(const Field&, const T& value) {
  return value;
}
template <typename Enum>
json stored(const ChoiceField<Enum>&, Enum value) {
  return name(value);
}

template <typename Field, typename T>
void read(const json& object, const Field& field, T& value) {
  read_member(object, field.key, value);
}
template <typename Enum>
void read(const json& object, const ChoiceField<Enum>& field, Enum& value) {
  std::string text;
  read_member(object, field.key, text);
  const std::optional<Enum> choice = choice_named(field, text);
  require(choice.has_value(), message(field.key, " is ", printable(text), "; use ",
                                      name(field.choices[0]), " or ", name(field.choices[1])));
  value = *choice;
}

}  // namespace

std::string_view name(InputKind kind) {
  switch (kind) {
    case InputKind::cifar:
      return "cifar";
    case InputKind::imagenet:
      return "imagenet";
  }
  return "?";
}

std::string_view name(StepMode mode) {
  switch (mode) {
    case StepMode::even:
      return "even";
    case StepMode::lin_grow:
      return "lin_grow";
  }
  return "?";
}

std::string_view name(PruneMode mode) {
  switch (mode) {
    case PruneMode::max:
      return "max";
    case PruneMode::min:
      return "min";
  }
  return "?";
}

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
  for_each_config_field([this](const auto& field) { check_alone(field, this->*field.member); });
  require(!growth_factors.empty() && growth_factors.size() <= 16,
          message("--growth-factors names ", growth_factors.size(), " scales; use 1 to 16"));
  require_ranges("growth_factors", growth_factors);
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
    require_ranges("bottleneck_factors", bottleneck_factors);
  }
  require(std::isfinite(reduction) && reduction >= 0 && reduction <= 1,
          message("--reduction is ", reduction, "; it must be between 0 (no transitions) and 1"));
}

void to_json(json& object, const MsdnetConfig& config) {
  object = json::object();
  for_each_config_field(
      [&](const auto& field) { object[field.key] = stored(field, config.*field.member); });
}

void from_json(const json& object, MsdnetConfig& config) {
  require(object.is_object(), "the model configuration is not a JSON object");
  std::set<std::string_view> known;
  for_each_config_field([&](const auto& field) { known.insert(field.key); });
  for (const auto& item : object.items()) {
    require(known.contains(item.key()),
            "the model configuration has an unknown key \"" + printable(item.key()) + "\"");
  }
  config = {};
  for_each_config_field([&](const auto& field) {
    if (!object.contains(field.key)) return;
    try {
      read(object, field, config.*field.member);
    } catch (const FormatError&) {
      throw ConfigError(
          message("the model configuration's \"", field.key, "\" is not made of whole numbers"));
    } catch (const json::exception& error) {
      throw ConfigError(
          message("the model configuration's \"", field.key, "\": ", json_problem(error)));
    }
  });
  config.check();
}

}  // namespace msd
