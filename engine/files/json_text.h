// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace msd {

/// Parses JSON that a file brings. Throws FormatError where it is none, names a key of an object
/// twice, nests values deeper than `deepest` (0: a lone number), or describes so many values that
/// they would take more memory than some 8 MB and `file_bytes`, the size of the file it came from.
nlohmann::json parse_json(std::string_view text, std::size_t file_bytes, int deepest);

/// What a nlohmann::json::exception says, in words for people rather than the library's own: "has
/// no steps".
std::string json_problem(const std::exception& error);

/// Runs `read`; where it throws a nlohmann::json::exception or FormatError, throws FormatError:
/// `place`, a colon and what it said.
void reading_json(const std::string& place, const std::function<void()>& read);

/// What is printed: as dump(indent), with a replacement character for bytes that are not UTF-8,
/// which paths may hold.
std::string printed_json(const nlohmann::ordered_json& value, int indent = -1);
/// Whether JSON can hold the text.
bool is_utf8(const std::string& text);

/// object.at(key).get_to(value), but a whole number is one that its type holds or FormatError: the
/// library cuts fractions off and converts what does not fit by a cast, whose result is undefined.
/// Throws nlohmann::json::exception where the key is missing or its value of another type.
void read_member(const nlohmann::json& object, const char* key, bool& value);
void read_member(const nlohmann::json& object, const char* key, int& value);
void read_member(const nlohmann::json& object, const char* key, std::int64_t& value);
void read_member(const nlohmann::json& object, const char* key, std::uint64_t& value);
void read_member(const nlohmann::json& object, const char* key, double& value);
void read_member(const nlohmann::json& object, const char* key, std::string& value);
void read_member(const nlohmann::json& object, const char* key, std::vector<std::int64_t>& values);
void read_member(const nlohmann::json& object, const char* key, std::vector<double>& values);

}  // namespace msd
