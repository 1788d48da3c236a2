// SPDX-License-Identifier: MIT
#include "engine/files/safetensors.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/files/file.h"
#include "engine/files/hash.h"
#include "engine/random.h"
#include "tests/support/errors.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tensors.h"

namespace msd {
namespace {

using test::TempFolder;
using test::throws;

Tensor random_bits(Allocator& allocator, std::vector<std::int64_t> shape, DType dtype,
                   std::uint64_t seed) {
  Tensor t = Tensor::empty(allocator, std::move(shape), dtype);
  RandomStream random(seed, RandomPurpose::test);
  auto* data = static_cast<unsigned char*>(t.data());
  for (std::int64_t i = 0; i < t.elems() * size_bytes(dtype); ++i) {
    data[i] = static_cast<unsigned char>(random.below(256));
  }
  return t;
}

TEST(Safetensors, RoundTripsEveryTypeScalarsAndEmptyTensors) {
  SystemAllocator allocator;
  const TempFolder folder;
  std::vector<NamedTensor> tensors;
  std::uint64_t seed = 0;
  for (const DType dtype : {DType::u8, DType::f32, DType::f64, DType::i32, DType::i64}) {
    const std::vector<std::vector<std::int64_t>> shapes = {{}, {1}, {7}, {3, 5, 1, 2}, {0}, {4, 0}};
    for (const auto& shape : shapes) {
      // Random bits: NaNs, infinities and subnormal numbers pass through unchanged.
      tensors.push_back({message(name(dtype), " ", shape.size(), " ", seed),
                         random_bits(allocator, shape, dtype, seed)});
      ++seed;
    }
  }
  const std::map<std::string, std::string> metadata = {
      {"plain", "text"}, {"quotes \" and \\", "line\nbreak \xC3\xA9 {\"a\": 1}"}, {"empty", ""}};
  write_safetensors(folder / "file", tensors, metadata);
  const Safetensors read = read_safetensors(folder / "file");
  EXPECT_EQ(read.metadata, metadata);
  EXPECT_TRUE(test::identical(read.tensors, test::by_name(tensors)));
  for (const auto& [name, tensor] : read.tensors) EXPECT_TRUE(tensor.is_contiguous()) << name;
}

TEST(Safetensors, RoundTripsNothing) {
  const TempFolder folder;
  write_safetensors(folder / "file", {});
  const Safetensors read = read_safetensors(folder / "file");
  EXPECT_TRUE(read.tensors.empty());
  EXPECT_TRUE(read.metadata.empty());
}

TEST(Safetensors, WritesTheFormatOthersRead) {
  const TempFolder folder;
  const Tensor b = test::make_tensor({2}, {1.0, -2.0});
  const Tensor a = test::make_tensor({}, {0.5}, DType::f64);
  write_safetensors(folder / "file", {{"b", b}, {"a", a}}, {{"key", "value"}});
  const std::string file = read_text_file(folder / "file");
  ASSERT_GT(file.size(), 8u);
  std::uint64_t header_bytes = 0;
  for (std::size_t i = 0; i < 8; ++i) {
    header_bytes |= static_cast<std::uint64_t>(static_cast<unsigned char>(file[i])) << (8 * i);
  }
  EXPECT_EQ(header_bytes % 8, 0u);  // the format asks for aligned data
  ASSERT_EQ(file.size(), 8 + header_bytes + 16);
  EXPECT_EQ(file[8], '{');
  nlohmann::json header = nlohmann::json::parse(file.substr(8, header_bytes));
  EXPECT_EQ(header["__metadata__"]["checksum"].get<std::string>().size(), kHashTextSize);
  header["__metadata__"].erase("checksum");
  EXPECT_EQ(header, nlohmann::json::parse(R"({
      "__metadata__": {"key": "value"},
      "a": {"dtype": "F64", "shape": [], "data_offsets": [0, 8]},
      "b": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}})"));
  using namespace std::string_literals;
  const std::string one_and_minus_two = "\0\0\x80\x3f\0\0\0\xc0"s;
  const std::string one_half = "\0\0\0\0\0\0\xe0\x3f"s;
  EXPECT_EQ(file.substr(8 + header_bytes), one_half + one_and_minus_two);
}

TEST(Safetensors, WritesTheSameBytesTwice) {
  SystemAllocator allocator;
  const TempFolder folder;
  const std::vector<NamedTensor> tensors = {{"x", random_bits(allocator, {31}, DType::u8, 1)},
                                            {"y", random_bits(allocator, {3}, DType::f64, 2)}};
  write_safetensors(folder / "a", tensors, {{"k", "v"}});
  write_safetensors(folder / "b", tensors, {{"k", "v"}});
  EXPECT_EQ(read_file(folder / "a"), read_file(folder / "b"));
  EXPECT_EQ(folder.list(), (std::vector<std::string>{"a", "b"}));
}

TEST(Safetensors, RefusesToWriteWhatItCannotRead) {
  SystemAllocator allocator;
  const TempFolder folder;
  const Tensor t = Tensor::zeros(allocator, {4, 4}, DType::f32);
  const auto write = [&](const std::vector<NamedTensor>& tensors) {
    return [&folder, tensors] { write_safetensors(folder / "file", tensors); };
  };
  EXPECT_TRUE(throws<ShapeError>(write({{"twice", t}, {"twice", t}}), {"twice"}));
  EXPECT_TRUE(throws<ShapeError>(write({{"slice", t.slice(1, 0, 2)}}), {"slice"}));
  EXPECT_TRUE(throws<ShapeError>(write({{"__metadata__", t}}), {"__metadata__"}));
  EXPECT_TRUE(folder.list().empty());
}

TEST(Safetensors, TextThatIsNotUtf8IsAnErrorOfOurs) {
  // JSON has no other encoding; class names and paths in metadata come from users.
  SystemAllocator allocator;
  const TempFolder folder;
  const Tensor t = Tensor::zeros(allocator, {1}, DType::f32);
  EXPECT_TRUE(throws<Error>([&] { write_safetensors(folder / "file", {{"caf\xE9", t}}); }));
  EXPECT_TRUE(throws<Error>([&] {
    write_safetensors(folder / "file", {{"a", t}}, {{"k", "caf\xE9"}});
  }));
  EXPECT_TRUE(folder.list().empty());
}

TEST(Safetensors, SlicesOfWholeRowsAreWrittenAsTheyLie) {
  SystemAllocator allocator;
  const TempFolder folder;
  const Tensor t = random_bits(allocator, {6, 4}, DType::i32, 5);
  write_safetensors(folder / "file", {{"rows", t.slice(0, 2, 3)}});
  const Tensor read = read_safetensors(folder / "file").tensors.at("rows");
  EXPECT_EQ(test::bytes(read), test::bytes(t.slice(0, 2, 3)));
}

TEST(Safetensors, EveryTensorIsAlignedWhateverTheOrder) {
  SystemAllocator allocator;
  const TempFolder folder;
  std::vector<NamedTensor> tensors;
  for (const DType dtype : {DType::u8, DType::i64, DType::f16, DType::i32, DType::bf16, DType::f64,
                            DType::f32, DType::u8}) {
    const std::string name = std::to_string(tensors.size());
    tensors.push_back({name, random_bits(allocator, {3}, dtype, tensors.size())});
  }
  write_safetensors(folder / "file", tensors);
  const Safetensors read = read_safetensors(folder / "file");
  EXPECT_TRUE(test::identical(read.tensors, test::by_name(tensors)));
  const auto file = read_file(folder / "file");
  for (const auto& [name, tensor] : read.tensors) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.data()) %
                  static_cast<std::uintptr_t>(size_bytes(tensor.dtype())),
              0u)
        << name;
  }
}

TEST(Safetensors, TensorsOutliveTheirFile) {
  SystemAllocator allocator;
  const TempFolder folder;
  const Tensor t = random_bits(allocator, {1000, 100}, DType::f32, 4);
  write_safetensors(folder / "file", {{"t", t}});
  const Tensor read = read_safetensors(folder / "file").tensors.at("t");
  write_safetensors(folder / "file", {{"other", Tensor::zeros(allocator, {1}, DType::f32)}});
  remove_file(folder / "file");
  EXPECT_EQ(test::bytes(read), test::bytes(t));
}

TEST(Safetensors, WritingToATensorLeavesTheFileAlone) {
  SystemAllocator allocator;
  const TempFolder folder;
  write_safetensors(folder / "file", {{"t", Tensor::zeros(allocator, {2}, DType::f32)}});
  const auto before = read_file(folder / "file");
  read_safetensors(folder / "file").tensors.at("t").span<float>()[0] = 3.0f;
  EXPECT_EQ(read_file(folder / "file"), before);
}

// Beside weights they may stand; their sizes are checked all the same.
TEST(Safetensors, TypesThatNoTensorHereHasArePassedOver) {
  const TempFolder folder;
  const auto read = [&](const std::string& header, std::size_t bytes) {
    std::string file(8, '\0');
    file[0] = static_cast<char>(header.size());
    write_file_atomically(folder / "a", file + header + std::string(bytes, '\1'));
    return read_safetensors(folder / "a");
  };
  const auto entry = [](const char* name, const char* type, int from, int to) {
    return message("\"", name, R"(":{"dtype":")", type, R"(","shape":[2],"data_offsets":[)", from,
                   ",", to, "]}");
  };
  const Safetensors file = read("{" + entry("a", "C64", 0, 16) + "," + entry("b", "U8", 16, 18) +
                                    "," + entry("c", "F4", 18, 19) + "}",
                                19);
  ASSERT_EQ(file.tensors.size(), 1u);
  EXPECT_EQ(test::doubles(file.tensors.at("b")), (std::vector<double>{1, 1}));
  EXPECT_EQ(file.passed_over, (std::map<std::string, std::string>{{"a", "C64"}, {"c", "F4"}}));
  for (const char* type : {"BOOL", "I8", "F8_E5M2", "F8_E4M3"}) {
    EXPECT_EQ(read("{" + entry("a", type, 0, 2) + "}", 2).passed_over.at("a"), type);
    EXPECT_TRUE(throws<FormatError>([&] { read("{" + entry("a", type, 0, 4) + "}", 4); }, {"4"}));
  }
}

TEST(Safetensors, AbsentFilesAreIoErrors) {
  const TempFolder folder;
  EXPECT_TRUE(throws<IoError>([&] { read_safetensors(folder / "absent"); }, {"absent"}));
  EXPECT_TRUE(throws<IoError>([&] { read_safetensors(folder.path()); }));
}

}  // namespace
}  // namespace msd
