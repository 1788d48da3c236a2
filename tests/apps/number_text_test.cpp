// SPDX-License-Identifier: MIT
// Numbers are read as they are typed, or refused.
#include "apps/common/number_text.h"

#include <gtest/gtest.h>

#include <limits>

#include "kernels/check.h"

namespace msd::test {
namespace {

template <typename T>
void expect_read(const std::string& text, T expected) {
  T value{};
  EXPECT_EQ(read_number(text, value), "") << text;
  EXPECT_EQ(value, expected) << text;
}

template <typename T>
void expect_refused(const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    T value{};
    const std::string problem = read_number(text, value);
    EXPECT_TRUE(problem.starts_with('"' + printable(text) + "\" is ")) << text << ": " << problem;
  }
}

TEST(NumberText, WholeNumbersAreDecimalDigits) {
  expect_read<std::int64_t>("0", 0);
  expect_read<std::int64_t>("-1", -1);
  expect_read<std::int64_t>("010", 10);  // not 8
  expect_read<std::int64_t>("9223372036854775807", std::numeric_limits<std::int64_t>::max());
  expect_read<std::uint64_t>("18446744073709551615", std::numeric_limits<std::uint64_t>::max());
  const std::vector<std::string> no_number = {"",    " ",   "5 ",  " 5",   "+5",  "0x10",
                                              "1e5", "5.",  "0.5", "5,",   "1_0", "nan",
                                              "inf", "--5", "-",   "five", "5\n", "5k"};
  expect_refused<int>(no_number);
  expect_refused<std::int64_t>(no_number);
  expect_refused<std::uint64_t>(no_number);
  expect_refused<int>({"2147483648", "-2147483649"});
  expect_refused<std::int64_t>({"9223372036854775808", "99999999999999999999"});
  expect_refused<std::uint64_t>({"18446744073709551616", "-1"});
}

TEST(NumberText, NumbersAreFiniteInSinglePrecision) {
  expect_read("0", 0.0);
  expect_read("0.1", 0.1);
  expect_read("-2.5e-3", -0.0025);
  expect_read(".5", 0.5);
  expect_read("1e38", 1e38);
  expect_refused<double>({"nan",  "NaN",   "-nan",  "nan(1)", "inf",   "-inf",   "infinity",
                          "INF",  "",      "0x1p3", "0x10",   "+0.1",  " 1",     "1 ",
                          "1,5",  "1e",    "e5",    "0.1f",   "1e999", "-1e999", "1e-999",
                          "1e39", "1e-60", "0.1.2", "10%"});
}

TEST(NumberText, QuantitiesHaveUnits) {
  const auto expect = [](const std::string& text, double expected) {
    double value = 0;
    EXPECT_EQ(read_quantity(text, value), "") << text;
    EXPECT_EQ(value, expected) << text;
  };
  expect("20M", 2e7);
  expect("1.5G", 1.5e9);
  expect("300k", 3e5);
  expect("2K", 2e3);
  expect("4.5T", 4.5e12);
  expect("1P", 1e15);
  expect("7", 7.0);
  for (const char* text : {"", "0", "0M", "-1M", "nan", "inf", "infM", "nank", "1e999", "1e300P",
                           "1e-60", "20 M", " 20M", "20MB", "20m", "M", "+1M", "0x10", "1e40"}) {
    double value = 0;
    EXPECT_NE(read_quantity(text, value), "") << text << " is " << value;
  }
}

TEST(NumberText, ListsHaveNoHoles) {
  std::vector<double> values;
  EXPECT_EQ(read_numbers("1,0,2.5", values), "");
  EXPECT_EQ(values, (std::vector<double>{1.0, 0.0, 2.5}));
  EXPECT_EQ(read_numbers("", values), "");
  EXPECT_TRUE(values.empty());
  for (const char* text : {",", "1,", ",1", "1,,2", "1, 2", "1;2", "1,nan", "inf,1", "1,1e999"}) {
    EXPECT_NE(read_numbers(text, values), "") << text;
  }
}

}  // namespace
}  // namespace msd::test
