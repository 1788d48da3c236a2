// SPDX-License-Identifier: MIT
#include "apps/common/quantity.h"

#include <charconv>
#include <cmath>
#include <map>
#include <string_view>

#include "kernels/check.h"

namespace msd {

double parse_quantity(const std::string& text, const std::string& option) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [next, error] = std::from_chars(text.data(), end, value);
  const std::map<std::string_view, double> units = {{"", 1},    {"k", 1e3},  {"K", 1e3}, {"M", 1e6},
                                                    {"G", 1e9}, {"T", 1e12}, {"P", 1e15}};
  const auto known = units.find(std::string_view(next, static_cast<std::size_t>(end - next)));
  const double unit = known == units.end() ? 0 : known->second;
  if (error != std::errc() || unit == 0 || !std::isfinite(value) || value <= 0) {
    throw ConfigError(
        message(option, " is ", text, "; give a positive number, with k, M, G, T or P"));
  }
  return value * unit;
}

}  // namespace msd
