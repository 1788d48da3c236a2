// SPDX-License-Identifier: MIT
#include "engine/formats/json_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tests/support/errors.h"

namespace msd {
namespace {

testing::AssertionResult refused(const std::string& text, int deepest,
                                 std::initializer_list<std::string_view> parts = {}) {
  return test::throws<FormatError>([&] { parse_json(text, text.size(), deepest); }, parts);
}

TEST(JsonText, ReadsJson) {
  const std::string text = R"({"a":[1,2.5,{"b":null}],"c":{"a":"x"}})";
  EXPECT_EQ(parse_json(text, text.size(), 3).dump(), text);
  EXPECT_EQ(parse_json("7", 1, 0), 7);
}

TEST(JsonText, RefusesOtherThings) {
  for (const char* text : {"", "{", "{\"a\":}", "1 2", "\xff", "{\"a\"\n", "[1,]"}) {
    EXPECT_TRUE(refused(text, 3, {"no JSON"})) << text;
  }
}

TEST(JsonText, NamesWhatIsThereTwice) {
  EXPECT_TRUE(refused(R"({"a":1,"b":2,"a":3})", 3, {"a twice"}));
  EXPECT_TRUE(refused(R"([{"a":1},{"b":{"c":1,"c":1}}])", 3, {"c twice"}));
  EXPECT_FALSE(refused(R"([{"a":1},{"a":{"a":1}}])", 3));
}

TEST(JsonText, DepthIsCounted) {
  EXPECT_FALSE(refused("[[[1]]]", 3));
  EXPECT_TRUE(refused("[[[[1]]]]", 3, {"too deep"}));
  EXPECT_TRUE(refused("[[[[]]]]", 3, {"too deep"}));
  EXPECT_TRUE(refused("[]", 0, {"too deep"}));
}

TEST(JsonText, ValuesAreCounted) {
  std::string text = "[1";
  for (int i = 0; i < 400000; ++i) text += ",1";
  text += "]";
  EXPECT_TRUE(refused(text, 3, {"too many values"}));
  EXPECT_EQ(parse_json(text, std::size_t{20} << 20, 3).size(), 400001u);  // of a larger file
}

}  // namespace
}  // namespace msd
