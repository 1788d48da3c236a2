// SPDX-License-Identifier: MIT
#pragma once

#include <sstream>
#include <string>
#include <string_view>

#include "kernels/error.h"

namespace msd {

/// Joins its arguments with operator<<; an error's text is composed of it.
template <typename... Parts>
std::string message(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

/// An error's place: "x.c > 0, kernels/ops.cpp:12".
inline std::string source_place(const char* condition, const char* file, int line) {
  return std::string(condition) + ", " + file + ":" + std::to_string(line);
}

/// Text of a file for an error message: at most 120 characters of it, on one line.
inline std::string printable(std::string_view text) {
  constexpr std::size_t kMost = 120;
  std::string out;
  for (const char c : text.substr(0, kMost)) out += c >= 0x20 && c < 0x7f ? c : '?';
  return text.size() > kMost ? out + "..." : out;
}

}  // namespace msd

/// Checks a caller's duty; always on. MSD_CHECK(x.c > 0, "conv_forward: x has ", x.c, " channels").
#define MSD_CHECK(condition, ...)                                                   \
  do {                                                                              \
    if (!(condition)) {                                                             \
      throw ::msd::ShapeError(::msd::message(__VA_ARGS__),                          \
                              ::msd::source_place(#condition, __FILE__, __LINE__)); \
    }                                                                               \
  } while (false)
