// SPDX-License-Identifier: MIT
// Damaged and hostile Torch7 files: an error that says at which byte, or values that can be looked
// at; never a crash, and never memory the file does not account for.
#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "engine/files/torch7_file.h"
#include "engine/random.h"
#include "tests/support/errors.h"
#include "tests/support/torch7_writer.h"

namespace msd {
namespace {

using test::throws;
using test::Torch7Writer;
using Bytes = std::vector<std::byte>;

// A file with a value of every kind.
Bytes sample() {
  const std::vector<float> data = {1, 2, 3, 4, 5, 6};
  Torch7Writer writer;
  const std::int32_t root = writer.object("nn.Sequential");
  writer.table(8);
  writer.text("modules");
  writer.table(1);
  writer.number(1.0);
  writer.object("nn.Linear", 0);
  writer.table(2);
  writer.text("weight");
  writer.tensor("torch.FloatTensor", {2, 3}, {1, 2}, 1);
  const std::int32_t storage = writer.storage("torch.FloatStorage", data.data(), 6, 24);
  writer.text("bias");
  writer.tensor("torch.FloatTensor", {2}, {1}, 5);
  writer.again(4, storage);
  writer.text("self");
  writer.again(4, root);
  writer.text("f");
  writer.function();
  writer.table(0);
  writer.text("old");
  writer.function(6);
  writer.table(0);
  writer.text("train");
  writer.boolean(false);
  writer.text("output");
  writer.tensor("torch.CudaTensor", {}, {}, 1);
  writer.nil();
  writer.text("short");
  writer.tensor("torch.ShortTensor", {1}, {1});
  writer.storage("torch.ShortStorage", data.data(), 1, 2);
  writer.text("gpus");
  writer.object("nn.DataParallelTable", 3);
  writer.table(0);
  writer.table(0);
  return writer.bytes();
}

// Touches everything that can be reached; every value once.
void look_at(const Torch7Value& value, std::set<const Torch7Value*>& seen, std::size_t& bytes) {
  if (!seen.insert(&value).second) return;
  EXPECT_FALSE(value.kind().empty());
  EXPECT_EQ(value.find("no such key"), nullptr);
  value.sequence();
  if (const Tensor* tensor = value.tensor()) {
    const Tensor packed = tensor->contiguous();
    bytes += static_cast<std::size_t>(packed.elems() * size_bytes(packed.dtype()));
    for (std::int64_t i = 0; i < packed.elems(); ++i) {
      load_element(packed.data(), packed.dtype(), i);
    }
  }
  if (const auto* object = value.as<Torch7Value::Object>()) look_at(*object->state, seen, bytes);
  if (const auto* table = value.as<Torch7Value::Table>()) {
    for (const auto& [key, item] : table->items) {
      look_at(*key, seen, bytes);
      look_at(*item, seen, bytes);
    }
  }
}

std::size_t look_at(const Torch7File& file) {
  std::set<const Torch7Value*> seen;
  std::size_t bytes = 0;
  look_at(file.root(), seen, bytes);
  EXPECT_GE(seen.size(), 1u);
  return bytes;
}

TEST(Torch7Damage, CutAtEveryByte) {
  const Bytes whole = sample();
  EXPECT_GT(look_at(Torch7File(whole)), 0u);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_TRUE(throws<FormatError>([&] { Torch7File file(cut); }, {"byte"})) << size;
    looks_like_torch7(cut);
  }
}

TEST(Torch7Damage, RandomBytesNeverCrash) {
  const Bytes whole = sample();
  RandomStream random(7, RandomPurpose::test);
  int readable = 0;
  for (int i = 0; i < 10'000; ++i) {
    Bytes bytes = whole;
    const auto at = static_cast<std::size_t>(random.below(static_cast<std::int64_t>(bytes.size())));
    bytes[at] = static_cast<std::byte>(random.below(256));
    looks_like_torch7(bytes);
    try {
      // A tensor's elements, and the copy of a strided one, are the file's at most, each.
      EXPECT_LE(look_at(Torch7File(bytes)), 8 * bytes.size()) << "byte " << at;
      ++readable;
    } catch (const FormatError&) {
    }
  }
  EXPECT_GT(readable, 100);    // many bytes are elements and names
  EXPECT_LT(readable, 9'900);  // but not all
}

struct Refusal {
  std::string name;
  std::function<void(Torch7Writer&)> write;
  std::vector<std::string> words;
};

class Torch7Refusals : public testing::TestWithParam<Refusal> {};

TEST_P(Torch7Refusals, SayWhatAndWhere) {
  Torch7Writer writer;
  GetParam().write(writer);
  for (const std::string& word : GetParam().words) {
    EXPECT_TRUE(throws<FormatError>([&] { Torch7File file(writer.bytes()); }, {word}));
  }
}

void write_tensor(Torch7Writer& w, const std::vector<std::int64_t>& shape,
                  const std::vector<std::int64_t>& strides, std::int64_t offset) {
  const double data[4] = {};
  w.tensor("torch.DoubleTensor", shape, strides, offset);
  w.storage("torch.DoubleStorage", data, 4, sizeof data);
}

constexpr std::int64_t kHuge = std::int64_t{1} << 62;

INSTANTIATE_TEST_SUITE_P(
    All, Torch7Refusals,
    testing::Values(
        Refusal{"Type", [](auto& w) { w.integer(9); }, {"at byte 0", "type 9"}},
        Refusal{"NegativeType", [](auto& w) { w.integer(-1); }, {"type -1"}},
        Refusal{"Boolean", [](auto& w) { w.integer(5), w.integer(2); }, {"boolean of value 2"}},
        Refusal{"NegativeText",
                [](auto& w) { w.integer(2), w.integer(-5); },
                {"at byte 4", "a text of size -5"}},
        Refusal{"LongText", [](auto& w) { w.integer(2), w.integer(1 << 30); }, {"is it truncated"}},
        Refusal{"NegativeTable", [](auto& w) { w.table(-1); }, {"at byte 0", "table of size -1"}},
        Refusal{"LongTable", [](auto& w) { w.table(1), w.nil(); }, {"a table of size 1"}},
        Refusal{"Storage",
                [](auto& w) { w.storage("torch.LongStorage", "", kHuge, 0); },
                {"torch.LongStorage of size 4611686018427387904"}},
        Refusal{"NegativeStorage",
                [](auto& w) { w.storage("torch.ByteStorage", "", -1, 0); },
                {"torch.ByteStorage of size -1"}},
        Refusal{"Dimensions",
                [](auto& w) { w.tensor("torch.IntTensor", std::vector<std::int64_t>(65), {}); },
                {"65 dimensions"}},
        Refusal{"Size", [](auto& w) { write_tensor(w, {-1}, {1}, 1); }, {"at byte 0", "outside"}},
        Refusal{"Stride", [](auto& w) { write_tensor(w, {2}, {-1}, 2); }, {"outside"}},
        Refusal{"Offset", [](auto& w) { write_tensor(w, {1}, {1}, 0); }, {"outside"}},
        Refusal{"LeastOffset", [](auto& w) { write_tensor(w, {1}, {1}, -2 * kHuge); }, {"outside"}},
        Refusal{"LastOffset", [](auto& w) { write_tensor(w, {1}, {1}, 5); }, {"storage of 32"}},
        Refusal{"Reach",
                [](auto& w) {
                  write_tensor(w, {2, 2}, {3, 1}, 1);
                },
                {"outside"}},
        Refusal{"Overflow",
                [](auto& w) {
                  write_tensor(w, {kHuge, 4}, {4, kHuge}, 1);
                },
                {"outside"}},
        Refusal{"OtherStorage",
                [](auto& w) {
                  w.tensor("torch.FloatTensor", {1}, {1});
                  w.storage("torch.CudaStorage", "1234", 1, 4);
                },
                {"torch.FloatTensor over a torch.CudaStorage"}},
        Refusal{"NoStorage",
                [](auto& w) {
                  w.tensor("torch.FloatTensor", {1}, {1});
                  w.nil();
                },
                {"storage of 0 bytes"}},
        Refusal{"OverItself",
                [](auto& w) { w.again(4, w.tensor("torch.FloatTensor", {1}, {1})); },
                {"over a value within itself"}},
        Refusal{"Hash",
                [](auto& w) {
                  w.object("tds.Hash", 1);
                  w.integer(0);
                },
                {"a tds.Hash, which is not read"}}),
    [](const auto& test) { return test.param.name; });

TEST(Torch7Damage, NestingIsLimited) {
  for (const int depth : {Torch7File::kDeepest, Torch7File::kDeepest + 1, 1'000'000}) {
    Torch7Writer writer;
    for (int i = 0; i < depth; ++i) {
      writer.table(1);
      writer.number(1.0);
    }
    writer.table(0);
    if (depth <= Torch7File::kDeepest) {
      EXPECT_NO_THROW(Torch7File file(writer.bytes()));
    } else {
      EXPECT_TRUE(throws<FormatError>([&] { Torch7File file(writer.bytes()); }, {"nested deeper"}));
    }
  }
}

TEST(Torch7Damage, ValuesAreLimited) {
  Torch7Writer writer;
  writer.table(std::int64_t{Torch7File::kMostValues});
  for (std::size_t i = 0; i < Torch7File::kMostValues; ++i) {
    writer.number(1.0);
    writer.nil();
  }
  EXPECT_TRUE(throws<FormatError>([&] { Torch7File file(writer.bytes()); }, {"more than 4000000"}));
}

}  // namespace
}  // namespace msd
