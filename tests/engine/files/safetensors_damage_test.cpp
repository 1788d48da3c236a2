// SPDX-License-Identifier: MIT
// Damaged and hostile files: an error that names the file, or tensors within the file's size; never
// a crash, and never memory the file does not account for.
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "engine/files/file.h"
#include "engine/files/safetensors.h"
#include "engine/random.h"
#include "tests/support/errors.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tensors.h"

namespace msd {
namespace {

using test::throws;

std::string little_endian(std::uint64_t value) {
  std::string text;
  for (int i = 0; i < 8; ++i) text += static_cast<char>((value >> (8 * i)) & 0xFF);
  return text;
}

std::string with_header(const std::string& header, std::size_t data_bytes) {
  return little_endian(header.size()) + header + std::string(data_bytes, 'd');
}

class DamageTest : public testing::Test {
 protected:
  Safetensors read(const std::string& content) {
    // Removed, not truncated: ext4 syncs a file that was truncated, 5 ms each.
    std::filesystem::remove(path_);
    std::ofstream(path_, std::ios::binary) << content;
    return read_safetensors(path_);
  }

  testing::AssertionResult refused(const std::string& content,
                                   std::initializer_list<std::string_view> words = {}) {
    const auto result = throws<FormatError>([&] { read(content); }, words);
    if (!result) return result;
    return throws<FormatError>([&] { read_safetensors(path_); }, {"damaged.safetensors"});
  }

  /// Neither crashes nor yields more than the file holds.
  void expect_sound(const std::string& content) {
    try {
      const Safetensors out = read(content);
      std::size_t bytes = 0;
      for (const auto& [name, tensor] : out.tensors) {
        for (const std::int64_t d : tensor.shape()) EXPECT_GE(d, 0);
        bytes += static_cast<std::size_t>(tensor.elems() * size_bytes(tensor.dtype()));
      }
      EXPECT_LE(bytes, content.size());
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("damaged.safetensors"), std::string::npos);
    }
  }

  static std::string good() {
    const test::TempFolder folder;
    const Tensor a = test::make_tensor({3, 2}, {1, 2, 3, 4, 5, 6});
    const Tensor b = test::make_tensor({}, {7}, DType::f64);
    write_safetensors(folder / "good", {{"a.weight", a}, {"b", b}, {"c", test::make_counter(9)}},
                      {{"meta", "data"}});
    return read_text_file(folder / "good");
  }

  const test::TempFolder folder_;
  const std::filesystem::path path_ = folder_ / "damaged.safetensors";
};

TEST_F(DamageTest, EveryTruncationIsAnError) {
  const std::string file = good();
  for (std::size_t size = 0; size < file.size(); ++size) {
    EXPECT_TRUE(refused(file.substr(0, size))) << "cut to " << size;
  }
  EXPECT_TRUE(refused(file + "x"));
}

TEST_F(DamageTest, EveryBitFlipInTheHeaderIsSound) {
  const std::string file = good();
  const std::size_t header_end = file.size() - (24 + 8 + 8);  // their data
  for (std::size_t at = 0; at < header_end; ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = file;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      expect_sound(damaged);
    }
  }
}

TEST_F(DamageTest, RandomDamageIsSound) {
  const std::string file = good();
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomStream random(seed, RandomPurpose::test);
    std::string damaged = file;
    for (std::int64_t i = 1 + random.below(4); i > 0; --i) {
      // Signs and digits hit numbers, where the harm is.
      const std::string letters = "0123456789-+eE.,[]{}\":\\ntf\xFF";
      const auto at =
          static_cast<std::size_t>(random.below(static_cast<std::int64_t>(file.size())));
      damaged[at] = letters[static_cast<std::size_t>(
          random.below(static_cast<std::int64_t>(letters.size())))];
    }
    expect_sound(damaged);
  }
}

TEST_F(DamageTest, HeaderLengthsThatCannotBe) {
  const std::string header = R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})";
  EXPECT_EQ(read(with_header(header, 4)).tensors.size(), 1u);  // the undamaged one
  for (const std::uint64_t length :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{header.size() - 1},
        std::uint64_t{header.size() + 1}, std::uint64_t{header.size() + 5}, std::uint64_t{1} << 31,
        std::uint64_t{1} << 62, std::uint64_t{1} << 63, ~std::uint64_t{0}, ~std::uint64_t{0} - 7}) {
    EXPECT_TRUE(refused(little_endian(length) + header + "dddd")) << length;
  }
}

TEST_F(DamageTest, HeadersThatAreNoObject) {
  for (const std::string header :
       {"", "null", "[]", "3", "\"text\"", "{", "{}}", "{} x", "nonsense", "{\"a\":}", "\xFF\xFE",
        "{\"a\":[]}", "{\"a\":null}", "{\"__metadata__\":[]}", "{\"__metadata__\":{\"a\":1}}"}) {
    EXPECT_TRUE(refused(with_header(header, 0))) << header;
  }
}

TEST_F(DamageTest, DeepNestingIsNoStackOverflow) {
  for (const char* open : {"[", "{\"a\":"}) {
    std::string header;
    for (int i = 0; i < 300000; ++i) header += open;
    EXPECT_TRUE(refused(with_header(header, 0)));
  }
  // Balanced, so that the parser builds and destroys all of it.
  const std::string deep = std::string(300000, '[') + std::string(300000, ']');
  EXPECT_TRUE(refused(with_header("{\"a\":" + deep + "}", 0)));
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":" + dtype + ",\"shape\":" + shape +
         ",\"data_offsets\":" + offsets + "}";
}

TEST_F(DamageTest, EntriesThatCannotBe) {
  struct Bad {
    const char *dtype, *shape, *offsets;
  };
  const std::vector<Bad> all = {{"\"F8\"", "[4]", "[0,4]"},  // no type of the format
                                {"\"f32\"", "[1]", "[0,4]"},
                                {"\"\"", "[1]", "[0,4]"},
                                {"7", "[1]", "[0,4]"},
                                {"\"F32\"", "[2]", "[0,4]"},
                                {"\"F32\"", "[]", "[0,8]"},
                                {"\"F32\"", "[-1]", "[0,4]"},
                                {"\"F32\"", "[-1,-1]", "[0,4]"},
                                {"\"F32\"", "{}", "[0,4]"},
                                {"\"F32\"", "1", "[0,4]"},
                                {"\"F32\"", "[\"1\"]", "[0,4]"},
                                {"\"F32\"", "[1]", "[0]"},
                                {"\"F32\"", "[1]", "[0,4,8]"},
                                {"\"F32\"", "[1]", "[4,0]"},
                                {"\"F32\"", "[1]", "[-4,0]"},
                                {"\"F32\"", "[1]", "[4,8]"},
                                {"\"F32\"", "[1]", "[1,5]"},
                                {"\"F32\"", "[1]", "null"},
                                {"\"F32\"", "[0]", "[0,0]"},  // 4 bytes belong to nobody
                                {"\"F32\"", "[1.5]", "[0,4]"},
                                {"\"F32\"", "[1]", "[0,4.5]"},
                                {"\"F32\"", "[1e300]", "[0,4]"},
                                // Products that overflow 64 bits, to 4 bytes or to 0.
                                {"\"F32\"", "[4294967296,4294967296]", "[0,4]"},
                                {"\"F32\"", "[4611686018427387905]", "[0,4]"},
                                {"\"F32\"", "[9223372036854775807,9223372036854775807]", "[0,4]"},
                                {"\"F32\"", "[18446744073709551615]", "[0,4]"},
                                {"\"F32\"", "[1]", "[0,18446744073709551615]"},
                                {"\"F32\"", "[1]", "[0,1e400]"}};
  for (const Bad& bad : all) {
    const std::string header = "{" + entry("the_tensor", bad.dtype, bad.shape, bad.offsets) + "}";
    EXPECT_TRUE(refused(with_header(header, 4))) << header;
  }
}

TEST_F(DamageTest, EmptyTensorsWithAbsurdShapes) {
  // Their product overflows on the way to zero.
  const std::string header =
      "{" + entry("e", "\"F32\"", "[0,4611686018427387904,4611686018427387904]", "[0,0]") + "}";
  expect_sound(with_header(header, 0));
}

TEST_F(DamageTest, MissingFieldsAreNamed) {
  EXPECT_TRUE(refused(with_header(R"({"a":{"shape":[4],"data_offsets":[0,4]}})", 4), {"dtype"}));
  EXPECT_TRUE(refused(with_header(R"({"a":{"dtype":"U8","data_offsets":[0,4]}})", 4), {"shape"}));
  EXPECT_TRUE(refused(with_header(R"({"a":{"dtype":"U8","shape":[4]}})", 4), {"data_offsets"}));
}

TEST_F(DamageTest, UnknownTypesAreNamed) {
  const std::string header = "{" + entry("quarter", "\"F2\"", "[4]", "[0,4]") + "}";
  EXPECT_TRUE(refused(with_header(header, 4), {"quarter", "F2"}));
}

TEST_F(DamageTest, GapsAndOverlapsAreRefused) {
  const auto two = [](const std::string& first, const std::string& second) {
    return "{" + entry("x", "\"U8\"", "[4]", first) + "," + entry("y", "\"U8\"", "[4]", second) +
           "}";
  };
  EXPECT_EQ(read(with_header(two("[4,8]", "[0,4]"), 8)).tensors.size(), 2u);  // any order is right
  EXPECT_TRUE(refused(with_header(two("[0,4]", "[5,9]"), 9), {"y"}));         // a gap
  EXPECT_TRUE(refused(with_header(two("[1,5]", "[5,9]"), 9), {"x"}));         // a gap at the start
  EXPECT_TRUE(refused(with_header(two("[0,4]", "[3,7]"), 7), {"y"}));         // an overlap
  EXPECT_TRUE(refused(with_header(two("[0,4]", "[0,4]"), 4)));                // shared bytes
  EXPECT_TRUE(refused(with_header(two("[0,4]", "[4,8]"), 9)));                // a rest
  EXPECT_TRUE(refused(with_header(two("[0,4]", "[4,8]"), 7)));                // too short
}

TEST_F(DamageTest, TheSameNameTwiceIsRefused) {
  const std::string x = entry("x", "\"U8\"", "[4]", "[0,4]");
  const std::string other = entry("x", "\"U8\"", "[4]", "[4,8]");
  EXPECT_TRUE(refused(with_header("{" + x + "," + other + "}", 8), {"x", "twice"}));
  EXPECT_TRUE(refused(with_header("{" + x + "," + x + "}", 4), {"x", "twice"}));
  EXPECT_TRUE(refused(
      with_header(R"({"a":{"dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4]}})", 4),
      {"dtype", "twice"}));
  EXPECT_TRUE(refused(with_header(R"({"__metadata__":{"k":"1","k":"2"}})", 0), {"k", "twice"}));
}

TEST_F(DamageTest, TheHeaderIsOneObjectAndSpaces) {
  const std::string a = "{" + entry("a", "\"U8\"", "[4]", "[0,4]") + "}";
  EXPECT_EQ(read(with_header(a + "   ", 4)).tensors.size(), 1u);
  EXPECT_TRUE(refused(with_header(" " + a, 4)));
  EXPECT_TRUE(refused(with_header(a + "x", 4)));
}

TEST_F(DamageTest, HeadersOfTooManyValues) {
  std::string shape = "[0";
  for (int i = 0; i < 300000; ++i) shape += ",0";
  EXPECT_TRUE(refused(with_header("{" + entry("a", "\"U8\"", shape + "]", "[0,0]") + "}", 0)));
}

TEST_F(DamageTest, TensorsThatAreNotAlignedAreCopied) {
  const std::string header = "{" + entry("a", "\"U8\"", "[1]", "[0,1]") + "," +
                             entry("b", "\"F64\"", "[1]", "[1,9]") + "}";
  const std::string value("\0\0\0\0\0\0\xe0\x3f", 8);
  const Safetensors file = read(little_endian(header.size()) + header + "d" + value);
  EXPECT_EQ(test::doubles(file.tensors.at("b")), std::vector<double>{0.5});
}

TEST_F(DamageTest, OtherFilesAreRefused) {
  EXPECT_TRUE(refused(std::string(100, '\0')));
  EXPECT_TRUE(refused("PK\x03\x04 a zip archive, such as a .pth of today would be"));
  EXPECT_TRUE(refused(""));
}

}  // namespace
}  // namespace msd
