// SPDX-License-Identifier: MIT
#pragma once

#include <string>

namespace msd {

/// Bytes and counts as a person writes them: "20M" = 20,000,000; "1.5G"; "300k"; "4.3T"; plain
/// numbers. Throws ConfigError naming `option`.
double parse_quantity(const std::string& text, const std::string& option);

}  // namespace msd
