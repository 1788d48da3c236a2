// SPDX-License-Identifier: MIT
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "models/network/config_hints.h"

namespace msd {

/// A network, and what it was made of: nobody should train another one than he believes.
struct ChosenNetwork {
  MsdnetConfig config;
  std::string origin;  // a preset, or the file whose network it was
  /// The fields in which it differs from that.
  ConfigHints changes;

  /// "network: cifar10-anytime10 with --blocks 7: 7 exits, 3058660 parameters, to the last exit
  /// ...", without an end of line.
  std::string line() const;
  /// The same, and every field.
  nlohmann::json json() const;
};

}  // namespace msd
