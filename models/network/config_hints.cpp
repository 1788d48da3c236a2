// SPDX-License-Identifier: MIT
#include "models/network/config_hints.h"

#include <array>
#include <charconv>

#include "kernels/check.h"

namespace msd {
namespace {

std::string option_text(const NumberField& field, std::int64_t value) {
  return message(option_name(field.key), " ", value);
}

std::string option_text(const ShareField& field, double value) {
  std::array<char, 32> digits{};  // the shortest that are read as this value
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  return message(option_name(field.key), " ", std::string_view(digits.data(), end));
}

std::string option_text(const FactorsField& field, const std::vector<std::int64_t>& factors) {
  std::string text = option_name(field.key);
  for (std::size_t i = 0; i < factors.size(); ++i) {
    text += (i == 0 ? " " : "-") + std::to_string(factors[i]);
  }
  return text;
}

std::string option_text(const FlagField& field, bool value) {
  return value ? option_name(field.key) : option_name(message("no_", field.key));
}

template <typename Enum>
std::string option_text(const ChoiceField<Enum>& field, Enum value) {
  return message(option_name(field.key), " ", name(value));
}

}  // namespace

ConfigHints::ConfigHints(const MsdnetConfig& config) : values_(config) {
  for_each_config_field([&](const auto& field) { given_.insert(field.key); });
}

ConfigHints ConfigHints::differences(const MsdnetConfig& config, const MsdnetConfig& base) {
  ConfigHints hints;
  for_each_config_field([&](const auto& field) {
    if (config.*field.member != base.*field.member) {
      hints.set(field.member, config.*field.member);
    }
  });
  return hints;
}

void ConfigHints::apply_to(MsdnetConfig& config) const {
  for_each_config_field([&](const auto& field) {
    if (given_.contains(field.key)) config.*field.member = values_.*field.member;
  });
}

std::string ConfigHints::options() const {
  std::string text;
  for_each_config_field([&](const auto& field) {
    if (!given_.contains(field.key)) return;
    text += (text.empty() ? "" : " ") + option_text(field, values_.*field.member);
  });
  return text;
}

}  // namespace msd
