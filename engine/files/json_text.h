// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/files/byte_reader.h"

namespace msd {

/// Parses JSON that a file brings. Throws FormatError where it is none, names a key of an object
/// twice, nests values deeper than `deepest` (0: a lone number), or describes so many values that
/// they would take more memory than some 8 MB and `file_bytes`, the size of the file it came from.
nlohmann::json parse_json(std::string_view text, std::size_t file_bytes, int deepest);

namespace detail {

template <typename T>
concept WholeNumber = std::integral<T> && !std::same_as<T, bool>;

template <typename T>
void read_value(const nlohmann::json& found, const char*, T& value) {
  found.get_to(value);
}

template <WholeNumber T>
void read_value(const nlohmann::json& found, const char* key, T& value) {
  if (!found.is_number_integer() ||
      !(found.is_number_unsigned() ? std::in_range<T>(found.get<std::uint64_t>())
                                   : std::in_range<T>(found.get<std::int64_t>()))) {
    throw FormatError(message(key, " is ", printable(found.dump()),
                              "; it must be a whole number of ", 8 * sizeof(T), " bits"));
  }
  found.get_to(value);
}

template <WholeNumber T>
void read_value(const nlohmann::json& found, const char* key, std::vector<T>& values) {
  if (!found.is_array()) throw FormatError(message(key, " is no list"));
  values.clear();
  for (const nlohmann::json& each : found) read_value(each, key, values.emplace_back());
}

}  // namespace detail

/// object.at(key).get_to(value), but a whole number is one that T holds or FormatError: the library
/// cuts fractions off and converts what does not fit by a cast, whose result is undefined. Throws
/// nlohmann::json::exception where the key is missing or its value of another type.
template <typename T>
void read_member(const nlohmann::json& object, const char* key, T& value) {
  detail::read_value(object.at(key), key, value);
}

}  // namespace msd
