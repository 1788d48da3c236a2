// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>

#include "models/network/config_fields.h"

namespace msd {

/// Some fields of a configuration: those that somebody decided, by an option of that name.
class ConfigHints {
 public:
  ConfigHints() = default;
  /// All fields.
  explicit ConfigHints(const MsdnetConfig& config);
  /// The fields in which `config` differs from `base`.
  static ConfigHints differences(const MsdnetConfig& config, const MsdnetConfig& base);

  template <typename T>
  ConfigHints& set(T MsdnetConfig::*field, std::type_identity_t<T> value) {
    values_.*field = std::move(value);
    given_.insert(config_key(field));
    return *this;
  }
  template <typename T>
  ConfigHints& forget(T MsdnetConfig::*field) {
    given_.erase(config_key(field));
    return *this;
  }
  template <typename T>
  std::optional<T> get(T MsdnetConfig::*field) const {
    return given_.contains(config_key(field)) ? std::optional(values_.*field) : std::nullopt;
  }

  /// Puts these fields over a configuration's.
  void apply_to(MsdnetConfig& config) const;
  /// As the command line would say it: "--blocks 3 --growth-factors 1-2-4 --no-bottleneck".
  std::string options() const;

 private:
  MsdnetConfig values_;
  std::set<std::string_view> given_;  // keys
};

}  // namespace msd
