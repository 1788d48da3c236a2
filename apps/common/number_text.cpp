// SPDX-License-Identifier: MIT
#include "apps/common/number_text.h"

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "kernels/check.h"

namespace msd {
namespace {

constexpr std::string_view kNoSize = "too large or too close to 0 to compute with";

std::string quoted_is(std::string_view text, std::string_view what) {
  return message('"', printable(text), "\" is ", what);
}

template <typename T>
std::string read_whole(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end != text.data() + text.size() || error == std::errc::invalid_argument) {
    return quoted_is(text, "not a whole number");
  }
  return error == std::errc() ? "" : quoted_is(text, "too large");
}

bool is_finite_single(double value) {
  const auto single = static_cast<float>(value);
  return std::isfinite(single) && (single != 0.0F || value == 0.0);
}

// Reads what `text` begins with, and says where that ends.
std::string read_prefix(std::string_view text, double& value, std::string_view& rest) {
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  rest = std::string_view(end, static_cast<std::size_t>(last - end));
  if (error == std::errc::result_out_of_range) return quoted_is(text, kNoSize);
  if (error != std::errc()) return quoted_is(text, "not a number");
  return std::isfinite(value) ? "" : quoted_is(text, "not a finite number");
}

}  // namespace

std::string read_number(std::string_view text, int& value) { return read_whole(text, value); }

std::string read_number(std::string_view text, std::int64_t& value) {
  return read_whole(text, value);
}

std::string read_number(std::string_view text, std::uint64_t& value) {
  return read_whole(text, value);
}

std::string read_number(std::string_view text, double& value) {
  std::string_view rest;
  std::string problem = read_prefix(text, value, rest);
  if (!rest.empty()) return quoted_is(text, "not a number");
  if (problem.empty() && !is_finite_single(value)) problem = quoted_is(text, kNoSize);
  return problem;
}

std::string read_quantity(std::string_view text, double& value) {
  constexpr std::array<std::pair<std::string_view, double>, 7> kUnits = {
      {{"", 1}, {"k", 1e3}, {"K", 1e3}, {"M", 1e6}, {"G", 1e9}, {"T", 1e12}, {"P", 1e15}}};
  constexpr std::string_view kNot = "not a number above 0, plain or with k, M, G, T or P";
  std::string_view unit;
  if (!read_prefix(text, value, unit).empty()) return quoted_is(text, kNot);
  for (const auto& [name, factor] : kUnits) {
    if (name != unit) continue;
    value *= factor;
    return value > 0 && is_finite_single(value) ? "" : quoted_is(text, kNot);
  }
  return quoted_is(text, kNot);
}

std::string read_numbers(std::string_view text, std::vector<double>& values) {
  values.clear();
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    double value = 0;
    if (std::string problem = read_number(text.substr(0, comma), value); !problem.empty()) {
      return problem;
    }
    values.push_back(value);
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
    if (text.empty()) return quoted_is(text, "not a number; one is missing after the last comma");
  }
  return "";
}

}  // namespace msd
