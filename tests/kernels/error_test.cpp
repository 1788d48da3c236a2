// SPDX-License-Identifier: MIT
#include "kernels/error.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace msd {
namespace {

using std::string_view_literals::operator""sv;

// The text of a file, a path or an argument must not break the line or steer a terminal.
TEST(Error, IsOneLine) {
  const FormatError error(std::string("a\nb\r\t\0\x1b[2J\x7f c"sv));
  EXPECT_EQ(error.what(), "a?b????[2J? c"sv);
}

TEST(Error, KeepsUtf8) {
  const std::string path = "bad file Ärger/犬.png";
  EXPECT_EQ(IoError(path).what(), path);
}

}  // namespace
}  // namespace msd
