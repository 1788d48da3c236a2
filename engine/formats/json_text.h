// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace msd {

/// Parses JSON that a file brings. Throws FormatError where it is none, names a key of an object
/// twice, nests values deeper than `deepest` (0: a lone number), or describes so many values that
/// they would take more memory than some 8 MB and `file_bytes`, the size of the file it came from.
nlohmann::json parse_json(std::string_view text, std::size_t file_bytes, int deepest);

}  // namespace msd
