// SPDX-License-Identifier: MIT
// Numbers as people type them, and nothing else: decimal digits, the whole text, finite. What other
// readers take besides (0x10 and 010 as other bases, "+5", " 5", "" as 0, nan, inf, the nearest
// number that fits) is refused, so that no number is read as another one than was meant.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace msd {

/// Each reads all of `text` and returns "", or what is wrong with it, which quotes it: "\"1e5\" is
/// not a whole number".
std::string read_number(std::string_view text, int& value);
std::string read_number(std::string_view text, std::int64_t& value);
std::string read_number(std::string_view text, std::uint64_t& value);
/// One that single precision tells from 0 and infinity.
std::string read_number(std::string_view text, double& value);

/// Bytes and counts above 0 as a person writes them: "20M" = 20,000,000; "1.5G"; "300k"; "4.3T";
/// plain numbers.
std::string read_quantity(std::string_view text, double& value);

/// "1,1,2.5"; no number at all where the text is empty.
std::string read_numbers(std::string_view text, std::vector<double>& values);

}  // namespace msd
