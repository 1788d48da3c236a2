// SPDX-License-Identifier: MIT
#include "engine/files/torch7_file.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/errors.h"
#include "tests/support/tensors.h"
#include "tests/support/torch7_writer.h"

namespace msd {
namespace {

using test::throws;
using test::Torch7Writer;

Torch7File read(const Torch7Writer& writer) { return Torch7File(writer.bytes()); }

double number(const Torch7Value* value) {
  const auto* found = value == nullptr ? nullptr : value->as<double>();
  if (found == nullptr) throw std::invalid_argument("no number there");
  return *found;
}

TEST(Torch7File, BytesOfTorch7) {
  // torch.save() of {hello = 123}, as Torch7 on x86-64 writes it.
  constexpr std::string_view kBytes(
      "\x03\0\0\0\x01\0\0\0\x01\0\0\0"
      "\x02\0\0\0\x05\0\0\0hello"
      "\x01\0\0\0\0\0\0\0\0\xc0\x5e\x40",
      37);
  const Torch7File file(std::as_bytes(std::span(kBytes)));
  EXPECT_EQ(number(file.root().find("hello")), 123.0);
  Torch7Writer writer;
  writer.table(1);
  writer.text("hello");
  writer.number(123.0);
  EXPECT_EQ(
      std::string_view(reinterpret_cast<const char*>(writer.bytes().data()), writer.bytes().size()),
      kBytes);
}

TEST(Torch7File, PlainValues) {
  Torch7Writer writer;
  writer.table(5);
  writer.text("nothing");
  writer.nil();
  writer.text("number");
  writer.number(-0.1);
  writer.text("yes");
  writer.boolean(true);
  writer.text("no");
  writer.boolean(false);
  writer.boolean(true);
  writer.text(std::string_view("a\0b", 3));
  const Torch7File file = read(writer);
  const auto& items = file.root().as<Torch7Value::Table>()->items;
  ASSERT_EQ(items.size(), 5u);
  EXPECT_EQ(items[0].second->kind(), "nil");
  EXPECT_EQ(file.root().find("nothing"), nullptr);
  EXPECT_EQ(number(file.root().find("number")), -0.1);
  EXPECT_TRUE(*file.root().find("yes")->as<bool>());
  EXPECT_FALSE(*file.root().find("no")->as<bool>());
  EXPECT_TRUE(*items[4].first->as<bool>());
  EXPECT_EQ(*items[4].second->as<std::string>(), std::string("a\0b", 3));
  EXPECT_EQ(file.root().kind(), "a table");
}

TEST(Torch7File, SequenceOfATableInAnyOrder) {
  Torch7Writer writer;
  writer.table(7);
  for (const double key : {3.0, 1.0, 5.0, 2.0, 2.5, 0.0, -1.0}) {
    writer.number(key);
    writer.number(10.0 * key);
  }
  const Torch7File file = read(writer);
  std::vector<double> values;
  for (const Torch7Value* value : file.root().sequence()) values.push_back(number(value));
  EXPECT_EQ(values, (std::vector<double>{10.0, 20.0, 30.0}));  // 4 is missing
  EXPECT_TRUE(file.root().find("x") == nullptr);
  EXPECT_TRUE(file.root().as<Torch7Value::Table>()->items[0].first->sequence().empty());
}

TEST(Torch7File, SharedValuesAreOneAndCyclesEnd) {
  Torch7Writer writer;
  const std::int32_t root = writer.table(4);
  writer.text("a");
  const std::int32_t shared = writer.table(0);
  writer.text("b");
  writer.again(3, shared);
  writer.text("self");
  writer.again(3, root);
  writer.again(3, root);
  const std::int32_t object = writer.object("nn.Loop");
  writer.table(1);
  writer.text("me");
  writer.again(4, object);
  const Torch7File file = read(writer);
  EXPECT_EQ(file.root().find("a"), file.root().find("b"));
  EXPECT_EQ(file.root().find("self"), &file.root());
  const auto& [key, loop] = file.root().as<Torch7Value::Table>()->items[3];
  EXPECT_EQ(key, &file.root());
  EXPECT_EQ(loop->find("me"), loop);
}

TEST(Torch7File, ClassesWithAndWithoutVersion) {
  for (const int version : {0, 1, 2}) {
    Torch7Writer writer;
    writer.object("nn.ReLU", version);
    writer.table(1);
    writer.text("inplace");
    writer.boolean(true);
    const Torch7File file = read(writer);
    EXPECT_EQ(file.root().class_name(), "nn.ReLU");
    EXPECT_EQ(file.root().kind(), "a nn.ReLU");
    EXPECT_TRUE(*file.root().find("inplace")->as<bool>());
  }
}

// Since its version 2 it writes the numbers of its GPUs first.
TEST(Torch7File, DataParallelTableOfEveryVersion) {
  for (const int version : {1, 2, 3}) {
    Torch7Writer writer;
    writer.object("nn.DataParallelTable", version);
    if (version >= 2) {
      writer.table(1);
      writer.number(1.0);
      writer.number(4.0);
    }
    writer.table(1);
    writer.text("dimension");
    writer.number(1.0);
    const Torch7File file = read(writer);
    EXPECT_EQ(number(file.root().find("dimension")), 1.0);
  }
}

struct Type {
  std::string name;  // torch.*Tensor
  DType dtype;
};

class Torch7Types : public testing::TestWithParam<Type> {};

TEST_P(Torch7Types, ElementsAreThoseOfTheFile) {
  const std::int64_t width = size_bytes(GetParam().dtype);
  std::vector<std::byte> data(static_cast<std::size_t>(6 * width));
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i + 1);
  for (const char* before : {"", "1", "12", "123"}) {  // at every alignment within the file
    Torch7Writer writer;
    writer.table(1);
    writer.text(before);
    writer.tensor("torch." + GetParam().name + "Tensor", {2, 3}, {3, 1});
    writer.storage("torch." + GetParam().name + "Storage", data.data(), 6, 6 * width);
    const Torch7File file = read(writer);
    const Torch7Value& value = *file.root().find(before);
    ASSERT_NE(value.tensor(), nullptr) << value.kind();
    EXPECT_EQ(value.class_name(), "torch." + GetParam().name + "Tensor");
    EXPECT_EQ(value.tensor()->dtype(), GetParam().dtype);
    EXPECT_EQ(value.tensor()->shape(), (std::vector<std::int64_t>{2, 3}));
    EXPECT_EQ(test::bytes(*value.tensor()), data);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(value.tensor()->data()) % 16, 0u);
  }
}

INSTANTIATE_TEST_SUITE_P(All, Torch7Types,
                         testing::Values(Type{"Double", DType::f64}, Type{"Float", DType::f32},
                                         Type{"Half", DType::f16}, Type{"Byte", DType::u8},
                                         Type{"Char", DType::u8}, Type{"Int", DType::i32},
                                         Type{"Long", DType::i64}, Type{"Cuda", DType::f32},
                                         Type{"CudaDouble", DType::f64},
                                         Type{"CudaHalf", DType::f16}, Type{"CudaByte", DType::u8},
                                         Type{"CudaChar", DType::u8}, Type{"CudaInt", DType::i32},
                                         Type{"CudaLong", DType::i64}),
                         [](const auto& test) { return test.param.name; });

TEST(Torch7File, StridedViewsOfOneStorage) {
  const std::vector<float> data = {0, 1, 2, 3, 4, 5, 6, 7};
  Torch7Writer writer;
  writer.table(2);
  writer.text("transposed");
  writer.tensor("torch.FloatTensor", {2, 3}, {1, 2}, 3);
  const std::int32_t storage = writer.storage("torch.FloatStorage", data.data(), 8, 32);
  writer.text("end");
  writer.tensor("torch.FloatTensor", {2}, {1}, 7);
  writer.again(4, storage);
  const Torch7File file = read(writer);
  const Tensor& transposed = *file.root().find("transposed")->tensor();
  EXPECT_EQ(test::doubles(transposed.contiguous()), (std::vector<double>{2, 4, 6, 3, 5, 7}));
  const Tensor& end = *file.root().find("end")->tensor();
  EXPECT_EQ(test::doubles(end), (std::vector<double>{6, 7}));
  EXPECT_EQ(static_cast<const float*>(transposed.data()) + 4, end.data());  // no copies
}

TEST(Torch7File, TensorsWithoutElements) {
  Torch7Writer writer;
  writer.table(2);
  writer.text("cleared");
  writer.tensor("torch.FloatTensor", {}, {}, 1);
  writer.nil();
  writer.text("moved");
  writer.tensor("torch.CudaTensor", {}, {}, 4711);
  writer.storage("torch.CudaStorage", nullptr, 0, 0);
  const Torch7File file = read(writer);
  for (const char* name : {"cleared", "moved"}) {
    EXPECT_EQ(file.root().find(name)->tensor()->shape(), std::vector<std::int64_t>{0}) << name;
  }
}

TEST(Torch7File, OpaqueValuesArePassedOver) {
  const std::vector<std::int16_t> shorts = {1, 2};
  const float one = 1.0f;
  Torch7Writer writer;
  writer.table(6);
  std::int32_t function = 0;
  for (const std::int32_t tag : {6, 7, 8}) {
    writer.number(tag);
    function = writer.function(tag);
    writer.table(1);
    writer.number(1.0);
    writer.text("closed over");
  }
  writer.text("again");
  writer.again(8, function);
  writer.text("shorts");
  writer.tensor("torch.ShortTensor", {2}, {1});
  writer.storage("torch.ShortStorage", shorts.data(), 2, 4);
  writer.text("expanded");
  writer.tensor("torch.FloatTensor", {1'000'000'000, 1'000'000'000}, {0, 0});
  writer.storage("torch.FloatStorage", &one, 1, 4);
  const Torch7File file = read(writer);
  const auto& items = file.root().as<Torch7Value::Table>()->items;
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(items[i].second->kind(), "a Lua function");
  EXPECT_EQ(items[2].second, items[3].second);
  EXPECT_EQ(items[4].second->kind(), "a torch.ShortTensor");
  EXPECT_EQ(items[4].second->tensor(), nullptr);
  EXPECT_EQ(items[5].second->kind(), "a torch.FloatTensor that repeats its storage");
}

// What packs them all would need more memory than the file has bytes.
TEST(Torch7File, PackedCopiesAreBoundedByTheFile) {
  const std::vector<float> data(10'000, 1.0f);
  Torch7Writer writer;
  writer.table(100);
  std::int32_t storage = 0;
  for (int i = 1; i <= 100; ++i) {
    writer.number(i);
    writer.tensor("torch.FloatTensor", {100, 100}, {1, 100});
    if (i == 1) {
      storage = writer.storage("torch.FloatStorage", data.data(), 10'000, 40'000);
    } else {
      writer.again(4, storage);
    }
  }
  const Torch7File file = read(writer);
  std::int64_t bytes = 0;
  for (const Torch7Value* value : file.root().sequence()) {
    if (value->tensor() != nullptr) bytes += 40'000;
  }
  EXPECT_GE(bytes, 40'000);
  EXPECT_LE(bytes, static_cast<std::int64_t>(writer.bytes().size()));
}

TEST(Torch7File, LooksLikeTorch7) {
  Torch7Writer table, object, number, text, function;
  table.table(1);
  table.number(1.0);
  table.boolean(false);
  object.object("nn.Sequential");
  object.table(0);
  number.number(3.0);
  text.text("only this");
  function.function();
  function.table(0);
  for (const Torch7Writer* writer : {&table, &object, &number, &text, &function}) {
    EXPECT_TRUE(looks_like_torch7(writer->bytes()));
    EXPECT_NO_THROW(read(*writer));
  }
  using namespace std::string_view_literals;
  for (const std::string_view other :
       {""sv, "\x03\0\0"sv, "PK\x03\x04rest of it"sv, "\x80\x02}q.rest of it"sv,
        "{\"format\": \"msd-split\"}"sv, "\x08\0\0\0\0\0\0\0{}      "sv, "\x04\0\0\0\0\0\0\0{}  "sv,
        "\x03\0\0\0\x01\0\0\0\xff\xff\xff\x7f"sv, "\x04\0\0\0\x01\0\0\0\x03\0\0\0\x01\x02\x03"sv,
        "\0\0\0\0"sv}) {
    EXPECT_FALSE(looks_like_torch7(std::as_bytes(std::span(other)))) << other;
  }
}

}  // namespace
}  // namespace msd
