// SPDX-License-Identifier: MIT
#include "engine/files/json_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

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

TEST(ReadMember, ReadsWhatTheTypeHolds) {
  const nlohmann::json json = {{"a", -2147483648}, {"b", 18446744073709551615u},
                               {"c", {1, -2}},     {"d", 1},
                               {"e", "x"},         {"f", true}};
  int a = 0;
  std::uint64_t b = 0;
  std::vector<std::int64_t> c{7};
  double d = 0;
  std::string e;
  bool f = false;
  read_member(json, "a", a);
  read_member(json, "b", b);
  read_member(json, "c", c);
  read_member(json, "d", d);
  read_member(json, "e", e);
  read_member(json, "f", f);
  EXPECT_EQ(a, -2147483648);
  EXPECT_EQ(b, 18446744073709551615u);
  EXPECT_EQ(c, (std::vector<std::int64_t>{1, -2}));
  EXPECT_EQ(d, 1.0);
  EXPECT_EQ(e, "x");
  EXPECT_TRUE(f);
}

// The library's own conversion would cut, wrap or do what is undefined.
TEST(ReadMember, RefusesOtherNumbers) {
  const auto refused_by = [](auto value, const nlohmann::json& json) {
    return test::throws<FormatError>(
        [&] {
          read_member({{"count", json}}, "count", value);
        },
        {"count"});
  };
  for (const nlohmann::json& json : std::vector<nlohmann::json>{
           1.5, 1e30, -1e30, 2.0, true, "1", nullptr, {{"a", 1}}, 18446744073709551615u}) {
    EXPECT_TRUE(refused_by(std::int64_t{}, json)) << json;
    EXPECT_TRUE(refused_by(std::vector<std::int64_t>{}, nlohmann::json{1, json})) << json;
  }
  EXPECT_TRUE(refused_by(int{}, 2147483648));
  EXPECT_TRUE(refused_by(std::uint64_t{}, -1));
  EXPECT_TRUE(refused_by(std::vector<std::int64_t>{}, 3));
}

// Never the library's "[json.exception.type_error.302] type must be number, but is string".
TEST(JsonProblem, IsInWords) {
  using nlohmann::json;
  const auto problem = [](const auto& body) -> std::string {
    try {
      body();
    } catch (const json::exception& error) {
      return json_problem(error);
    }
    return "nothing was thrown";
  };
  const json object = {{"steps", "many"}};
  EXPECT_EQ(problem([&] { static_cast<void>(object.at("steps").get<int>()); }),
            "a value is of type string and must be of type number");
  EXPECT_EQ(problem([&] { static_cast<void>(object.at("epochs")); }), "has no epochs");
  EXPECT_EQ(problem([] { const json parsed = json::parse("{\n3}"); }),
            "no JSON at line 2, column 1");
  EXPECT_EQ(problem([] { static_cast<void>(json("\xff").dump()); }), "a text that is not UTF-8");
  for (const auto& other : {problem([&] { static_cast<void>(json::array({1}).at(7)); }),
                            problem([&] { static_cast<void>(object.at("/x/y"_json_pointer)); })}) {
    EXPECT_EQ(other.find("json.exception"), std::string::npos) << other;
  }
  EXPECT_TRUE(test::throws<FormatError>(
      [&] { reading_json("file", [&] { static_cast<void>(object.at("x")); }); },
      {"file: has no x"}));
}

TEST(PrintedJson, ReplacesWhatIsNotUtf8) {
  EXPECT_EQ(printed_json({{"path", "d\xff"}}), "{\"path\":\"d\xef\xbf\xbd\"}");
  EXPECT_TRUE(is_utf8("d\xc3\xa9"));
  EXPECT_FALSE(is_utf8("d\xff"));
}

}  // namespace
}  // namespace msd
