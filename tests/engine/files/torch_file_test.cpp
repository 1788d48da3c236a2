// SPDX-License-Identifier: MIT
#include "engine/files/torch_file.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "tests/support/errors.h"
#include "tests/support/pickle_bytes.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tensors.h"

namespace msd {
namespace {

using test::as_bytes;
using test::list_of;
using test::raw;
using test::show;
using test::storage;
using test::tensor;
using test::text;
using test::throws;
using test::torch_legacy;
using test::torch_zip;

using Sizes = std::vector<std::int64_t>;

// Both formats, with one storage "0" of `type` and these bytes.
std::vector<std::string> both(const std::string& root, std::int64_t elems,
                              const std::string& bytes) {
  return {torch_zip(root, {{"0", bytes}}), torch_legacy(root, {{"0", elems, bytes}})};
}

const Tensor& item(const TorchFile& file, std::size_t index) {
  return *file.root().as<PickleValue::List>()->items.at(index)->as<Tensor>();
}

testing::AssertionResult refused(const std::string& file,
                                 std::initializer_list<std::string_view> parts = {}) {
  return throws<FormatError>([&] { TorchFile read(as_bytes(file)); }, parts);
}

const std::string kFloats = raw<float>({0, 1, 2, 3, 4, 5});
const std::string kFloat6 = storage("FloatStorage", "0", 6);

TEST(TorchFile, KnowsBothFormats) {
  const auto files = both(list_of({tensor(kFloat6, 0, {6}, {1})}), 6, kFloats);
  EXPECT_TRUE(looks_like_torch(as_bytes(files[0])) && looks_like_torch(as_bytes(files[1])));
  EXPECT_EQ(TorchFile(as_bytes(files[0])).format(), TorchFile::Format::zip);
  EXPECT_EQ(TorchFile(as_bytes(files[1])).format(), TorchFile::Format::legacy);
  EXPECT_FALSE(looks_like_torch(as_bytes("no file of PyTorch")));
  EXPECT_FALSE(looks_like_torch({}));
  EXPECT_TRUE(refused("no file of PyTorch", {"torch.save"}));
}

TEST(TorchFile, OffsetsAndStrides) {
  const std::string root = list_of(
      {tensor(kFloat6, 0, {2, 3}, {3, 1}), tensor(kFloat6, 0, {3, 2}, {1, 3}),
       tensor(kFloat6, 1, {2, 2}, {2, 1}), tensor(kFloat6, 4, {2}, {1}), tensor(kFloat6, 5, {}, {}),
       tensor(kFloat6, 6, {0}, {1}), tensor(kFloat6, 2, {1, 2, 1}, {99, 3, 77})});
  for (const std::string& bytes : both(root, 6, kFloats)) {
    const TorchFile file(as_bytes(bytes));
    const std::vector<std::vector<double>> expected = {
        {0, 1, 2, 3, 4, 5}, {0, 3, 1, 4, 2, 5}, {1, 2, 3, 4}, {4, 5}, {5}, {}, {2, 5}};
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(test::doubles(item(file, i).contiguous()), expected[i]) << i;
    }
    EXPECT_EQ(item(file, 1).shape(), (Sizes{3, 2}));
    EXPECT_EQ(item(file, 1).strides(), (Sizes{1, 3}));
    EXPECT_EQ(item(file, 4).dim(), 0);
    // One storage, as in PyTorch.
    auto* first = static_cast<float*>(item(file, 0).data());
    EXPECT_EQ(item(file, 1).data(), first);
    EXPECT_EQ(item(file, 3).data(), first + 4);
    first[4] = 44;
    EXPECT_EQ(test::doubles(item(file, 3)), (std::vector<double>{44, 5}));
  }
}

TEST(TorchFile, EveryType) {
  struct Type {
    const char* storage;
    DType dtype;
    std::string bytes;
  };
  const Type types[] = {{"FloatStorage", DType::f32, raw<float>({1.5f, -2})},
                        {"DoubleStorage", DType::f64, raw<double>({1.5, -2})},
                        {"HalfStorage", DType::f16, raw<std::uint16_t>({0x3e00, 0xc000})},
                        {"BFloat16Storage", DType::bf16, raw<std::uint16_t>({0x3fc0, 0xc000})},
                        {"LongStorage", DType::i64, raw<std::int64_t>({1, -2})},
                        {"IntStorage", DType::i32, raw<std::int32_t>({1, -2})},
                        {"ByteStorage", DType::u8, raw<std::uint8_t>({1, 254})},
                        {"BoolStorage", DType::u8, raw<std::uint8_t>({1, 0})}};
  for (const Type& type : types) {
    const std::string root = list_of({tensor(storage(type.storage, "0", 2), 0, {2}, {1})});
    for (const std::string& bytes : both(root, 2, type.bytes)) {
      const TorchFile file(as_bytes(bytes));
      EXPECT_EQ(item(file, 0).dtype(), type.dtype) << type.storage;
      const auto got = test::bytes(item(file, 0));
      EXPECT_EQ(std::string(reinterpret_cast<const char*>(got.data()), got.size()), type.bytes);
    }
  }
  for (const char* unknown : {"StringStorage", "load"}) {
    const std::string root = list_of({tensor(storage(unknown, "0", 2), 0, {2}, {1})});
    EXPECT_TRUE(refused(torch_zip(root, {{"0", "12"}}), {std::string("torch.") + unknown}));
  }
}

// Which may stand beside the weights of a network.
TEST(TorchFile, TensorsThatNoTypeHereHoldsArePassedOver) {
  struct Type {
    const char* storage;
    std::int64_t width;
    const char* name;
  };
  for (const Type& type :
       {Type{"CharStorage", 1, "int8"}, Type{"ShortStorage", 2, "int16"},
        Type{"ComplexFloatStorage", 8, "complex64"}, Type{"ComplexDoubleStorage", 16, "complex128"},
        Type{"QInt8Storage", 1, "qint8"}, Type{"QInt32Storage", 4, "qint32"}}) {
    const std::string root = list_of({tensor(storage(type.storage, "0", 2), 0, {2}, {1}), "K\7"});
    for (const std::string& bytes :
         both(root, 2, std::string(static_cast<std::size_t>(2 * type.width), '\1'))) {
      EXPECT_EQ(show(TorchFile(as_bytes(bytes)).root()),
                message("[tensor of ", type.name, "(2), 7]"));
    }
  }
  // Since PyTorch 2.1: a storage of bytes, and the type beside it.
  const auto of_type = [](const char* type, const std::vector<std::int64_t>& shape) {
    std::string bytes = storage("UntypedStorage", "0", 8);
    bytes.replace(bytes.find("torch\nUntyped"), 5, "torch.storage");
    return test::global("torch._utils", "_rebuild_tensor_v3") + "(" + bytes + test::integer(0) +
           test::tuple(shape) + test::tuple({1}) + "\x89" +
           test::global("collections", "OrderedDict") + ")R" + test::global("torch", type) + "}tR";
  };
  const std::string bytes =
      torch_zip(list_of({of_type("float8_e4m3fn", {8}), of_type("uint16", {4}),
                         of_type("int8", {8}), of_type("float32", {2})}),
                {{"0", raw<float>({1.5f, -2})}});
  const TorchFile file(as_bytes(bytes));
  EXPECT_EQ(show(file.root()),
            "[tensor of float8_e4m3fn(8), tensor of uint16(4), tensor of int8(8), tensor]");
  EXPECT_EQ(test::doubles(item(file, 3)), (std::vector<double>{1.5, -2}));
  EXPECT_TRUE(refused(torch_zip(list_of({of_type("float32", {3})}), {{"0", std::string(8, 'x')}}),
                      {"outside its storage"}));
}

TEST(TorchFile, TensorsOfOtherKindsArePassedOver) {
  const std::string plain = tensor(kFloat6, 0, {6}, {1});
  // The metadata of a view that PyTorch negates when it is read: its storage has the other sign.
  std::string negated = plain;
  negated.replace(negated.size() - 2, 2, "}" + text("neg") + "\x88stR");
  const std::string arguments = plain.substr(plain.find('('), plain.size() - plain.find('(') - 1);
  const std::string subclass = test::global("torch._tensor", "_rebuild_from_type_v2") + "(" +
                               test::global("torch._utils", "_rebuild_tensor_v2") +
                               test::global("train", "MyTensor") + arguments + "}" + text("note") +
                               text("x") + "stR";
  const std::string parameter = test::global("torch._utils", "_rebuild_parameter_with_state") +
                                "(" + plain + "\x88" + test::global("collections", "OrderedDict") +
                                ")R}tR";
  const std::string sparse = test::global("torch._utils", "_rebuild_sparse_tensor") + "(" +
                             test::global("torch.serialization", "_get_layout") +
                             text("torch.sparse_coo") + "\x85R(" + plain + plain +
                             test::tuple({6}) + "ttR";
  const std::string meta = test::global("torch._utils", "_rebuild_meta_tensor_no_storage") + "(" +
                           test::global("torch", "float32") + test::tuple({3}) + test::tuple({1}) +
                           "\x89tR";
  for (const std::string& bytes :
       both(list_of({negated, subclass, parameter, sparse, meta}), 6, kFloats)) {
    EXPECT_EQ(show(TorchFile(as_bytes(bytes)).root()),
              "[tensor that is conjugated or negated(6), tensor, tensor, tensor of another kind, "
              "sparse_tensor, tensor of another kind, meta_tensor_no_storage]");
  }
}

// Whole models name their classes, in the older format with the source beside them.
TEST(TorchFile, WholeModels) {
  const std::string type = "(" + text("module") + test::global("train", "MSDNet") +
                           text("train.py") + text("class MSDNet: ...") + "tQ";
  const std::string model = type + ")\x81}" + text("training") + "\x89sb";
  const std::string bytes = torch_legacy(list_of({model}), {});
  EXPECT_EQ(show(TorchFile(as_bytes(bytes)).root()), "[train.MSDNet{'training': False}]");
}

// pickle_protocol=1 and so on of torch.save; the numbers as pickle.dumps() writes them.
TEST(TorchFile, LegacyOfEveryProtocol) {
  const std::string two =
      torch_legacy(list_of({tensor(kFloat6, 0, {6}, {1})}), {{"0", 6, kFloats}});
  const std::string number = test::from_hex("80028a0a6cfc9c46f9206aa850192e");
  for (const char* other :
       {"4c3131393534373033373134363033383830313333333335364c0a2e",
        "80038a0a6cfc9c46f9206aa850192e", "8004950d000000000000008a0a6cfc9c46f9206aa850192e",
        "8005950d000000000000008a0a6cfc9c46f9206aa850192e"}) {
    const std::string bytes = test::from_hex(other) + two.substr(number.size());
    ASSERT_TRUE(looks_like_torch(as_bytes(bytes))) << other;
    EXPECT_EQ(test::doubles(item(TorchFile(as_bytes(bytes)), 0)).back(), 5);
    EXPECT_FALSE(looks_like_torch(as_bytes(bytes.substr(0, test::from_hex(other).size() - 1))));
  }
}

TEST(TorchFile, OfACudaDevice) {
  std::string root = list_of({tensor(storage("FloatStorage", "0", 6, "", "cuda:0"), 0, {6}, {1})});
  for (const std::string& bytes : both(root, 6, kFloats)) {
    EXPECT_EQ(test::doubles(item(TorchFile(as_bytes(bytes)), 0)).back(), 5);
  }
  root.replace(root.find("torch\nFloat"), 11, "torch.cuda\nFloat");
  for (const std::string& bytes : both(root, 6, kFloats)) {
    EXPECT_EQ(test::doubles(item(TorchFile(as_bytes(bytes)), 0)).back(), 5);
  }
}

TEST(TorchFile, ContainersAndParameters) {
  const std::string parameter = test::global("torch._utils", "_rebuild_parameter") + "(" +
                                tensor(kFloat6, 0, {6}, {1}) + "\x88" +
                                test::global("collections", "OrderedDict") + ")RtR";
  const std::string size = test::global("torch", "Size") + test::tuple({2, 3}) + "\x85R";
  const std::string pairs = test::global("collections", "OrderedDict") + "]" + "]K\1aVone\na" +
                            "a\x85R";  // Python 2's: OrderedDict([[1, 'one']])
  const std::string plain = test::global("torch._utils", "_rebuild_tensor") + "(" + kFloat6 +
                            test::integer(0) + test::tuple({6}) + test::tuple({1}) + "tR";
  const auto bytes =
      torch_zip(list_of({parameter, size, pairs, plain, "N", "\x88"}), {{"0", kFloats}});
  EXPECT_EQ(show(TorchFile(as_bytes(bytes)).root()),
            "[tensor, (2, 3), {1: 'one'}, tensor, None, True]");
}

TEST(TorchFile, NothingIsExecuted) {
  const std::string system = "cposix\nsystem\n(Vtrue\ntR.";
  for (const std::string& bytes : both(system, 0, "")) {
    EXPECT_TRUE(refused(bytes, {"posix.system", "refused"}));
  }
  EXPECT_TRUE(refused(torch_zip(list_of({"ctorch.hub\nload\n)R"}), {}), {"torch.hub.load"}));
  // In the legacy format also where its other pickles are.
  std::string legacy = torch_legacy(list_of({}), {});
  legacy.replace(legacy.find("\x80\x02}"), 3,
                 "\x80\x02"
                 "cposix\nsystem\n)R");
  EXPECT_TRUE(refused(legacy, {"posix.system"}));
}

TEST(TorchFile, TensorsOutsideTheirStorage) {
  const std::int64_t huge = std::int64_t{1} << 62;
  struct Bad {
    std::int64_t offset;
    Sizes shape, strides;
  };
  const Bad all[] = {
      {0, {7}, {1}},
      {1, {6}, {1}},
      {0, {2, 3}, {4, 1}},
      {-1, {1}, {1}},
      {0, {2}, {-1}},
      {0, {-1}, {1}},
      {7, {0}, {1}},
      {0, {6}, {1, 1}},
      {0, {2}, {huge}},
      {huge, {2}, {1}},
      {0, {huge, 4}, {1, 1}},
      {0, {huge, huge}, {0, 0}},
      {0, {huge}, {0}},
      {0, {0, 2, huge}, {1, huge, 1}}};  // strides that overflow on the way to nothing
  for (const Bad& bad : all) {
    const std::string root = list_of({tensor(kFloat6, bad.offset, bad.shape, bad.strides)});
    for (const std::string& bytes : both(root, 6, kFloats)) {
      EXPECT_TRUE(refused(bytes)) << bad.offset << " " << bad.shape.size();
    }
  }
  EXPECT_TRUE(
      refused(both(list_of({tensor(kFloat6, 0, Sizes(65, 1), Sizes(65, 1))}), 6, kFloats)[0]));
}

// Whoever packs strided tensors copies no more than the file could hold; what is beyond that is
// passed over.
TEST(TorchFile, ExpandedTensors) {
  const std::string expanded = tensor(kFloat6, 1, {2, 3}, {0, 1});
  for (const std::string& bytes : both(list_of({expanded}), 6, kFloats)) {
    EXPECT_EQ(test::doubles(item(TorchFile(as_bytes(bytes)), 0).contiguous()),
              (std::vector<double>{1, 2, 3, 1, 2, 3}));
  }
  const std::string wide = tensor(storage("FloatStorage", "0", 600), 0, {300, 2}, {1, 300});
  const std::string bytes =
      torch_zip(list_of(std::vector<std::string>(100, wide)), {{"0", std::string(2400, 'f')}});
  const TorchFile file(as_bytes(bytes));
  std::size_t packed = 0;
  for (const PickleValue* value : file.root().as<PickleValue::List>()->items) {
    packed += value->as<Tensor>() == nullptr ? 0 : 2400;
  }
  EXPECT_GT(packed, 0u);
  EXPECT_LE(packed, bytes.size());
}

TEST(TorchFile, CallsThatDoNotFit) {
  const std::string rebuild = test::global("torch._utils", "_rebuild_tensor_v2");
  const std::string odict = test::global("collections", "OrderedDict");
  for (const std::string& bad :
       {rebuild + ")R", rebuild + "(NNNNNNtR", rebuild + "(" + kFloat6 + "NNNNNtR",
        rebuild + "(" + kFloat6 + "K\2K\1K\1NNtR", odict + "K\1\x85R", odict + "(NNtR",
        odict + "]K\1a\x85R", odict + "]]a\x85R", test::global("torch", "Size") + ")R",
        test::global("torch", "Size") + "K\1\x85R", test::global("torch", "FloatStorage") + ")R",
        test::global("torch._utils", "_rebuild_parameter") + "(NNNtR", std::string("NQ"),
        std::string(")Q"), "(" + test::text("module") + "NNNNtQ", std::string("(NNNNNtQ"),
        "(" + test::text("storage") + "NNNNtQ", storage("FloatStorage", "0", -1),
        storage("FloatStorage", "0", std::int64_t{1} << 61)}) {
    EXPECT_TRUE(refused(torch_zip(list_of({bad}), {{"0", kFloats}}))) << bad;
  }
}

TEST(TorchFile, ZipFilesThatLackSomething) {
  const std::string root = list_of({tensor(kFloat6, 0, {6}, {1})});
  EXPECT_TRUE(refused(torch_zip(root, {}), {"archive/data/0", "missing"}));
  EXPECT_TRUE(refused(torch_zip(root, {{"0", kFloats + "x"}}), {"archive/data/0"}));
  EXPECT_TRUE(refused(torch_zip(root, {{"0", kFloats.substr(4)}}), {"storage 0", "20 bytes"}));
  EXPECT_TRUE(refused(torch_zip(root, {{"0", kFloats}}, {{"archive/byteorder", "big"}}), {"big"}));
  EXPECT_FALSE(refused(torch_zip(root, {{"0", kFloats}}, {{"archive/byteorder", "little"}})));
  EXPECT_TRUE(
      refused(torch_zip(root, {{"0", kFloats}}, {{"other/data.pkl", root}}), {"more than one"}));
  EXPECT_TRUE(refused(test::zip_of({{"readme", "x"}}), {"no data.pkl", "readme"}));
  EXPECT_TRUE(refused(test::zip_of({{"a/data.pkl", root}, {"a/constants.pkl", "x"}}),
                      {"TorchScript", "state_dict()"}));
  EXPECT_TRUE(refused(test::zip_of({{"m/archive_format", "pt2"}}), {"torch.export"}));
  EXPECT_TRUE(refused(test::zip_of({{"a.npy", "x"}}), {"NumPy"}));
  EXPECT_TRUE(refused(test::zip_of({{"a/data.pkl", ""}})));
  // A storage of nothing has no entry in some versions.
  const std::string empty = list_of({tensor(storage("FloatStorage", "5", 0), 0, {0}, {1})});
  EXPECT_EQ(item(TorchFile(as_bytes(torch_zip(empty, {}))), 0).elems(), 0);
  // One storage with two sizes.
  const std::string two =
      list_of({tensor(kFloat6, 0, {6}, {1}), tensor(storage("FloatStorage", "0", 3), 0, {3}, {1})});
  EXPECT_TRUE(refused(torch_zip(two, {{"0", kFloats}}), {"storage 0"}));
}

TEST(TorchFile, LegacyStorages) {
  const std::string root = list_of({tensor(kFloat6, 0, {6}, {1})});
  EXPECT_TRUE(refused(torch_legacy(root, {}), {"lacks storage 0"}));
  EXPECT_TRUE(refused(torch_legacy(root, {{"0", 6, kFloats}, {"0", 6, kFloats}}), {"twice"}));
  EXPECT_TRUE(refused(torch_legacy(root, {{"0", 6, kFloats}, {"1", 6, kFloats}}), {"storage 1"}));
  EXPECT_TRUE(refused(torch_legacy(root, {{"0", 5, kFloats}}), {"5 elements"}));
  EXPECT_TRUE(refused(torch_legacy(root, {{"0", -1, kFloats}}), {"-1 elements"}));
  EXPECT_TRUE(refused(torch_legacy(root, {{"0", 6, kFloats.substr(1)}}), {"truncated"}));
  EXPECT_TRUE(refused(torch_legacy(root, {{"0", 6, kFloats}}, 1000), {"1000"}));
  EXPECT_TRUE(refused(torch_legacy(root, {{"0", 6, kFloats}}, 1001, false), {"little-endian"}));
  const std::string huge = list_of({storage("FloatStorage", "0", std::int64_t{1} << 60)});
  EXPECT_TRUE(refused(torch_legacy(huge, {{"0", std::int64_t{1} << 60, kFloats}}),
                      {"storage 0", "more than the file holds"}));
}

// PyTorch 0.3 shared parts of storages: (the part's key, offset, elements) within the root's.
TEST(TorchFile, LegacyViews) {
  const auto view = [](std::int64_t offset, std::int64_t elems) {
    return storage("FloatStorage", "0", 6,
                   "(" + test::text("part") + test::integer(offset) + test::integer(elems) + "t");
  };
  const std::string root = list_of(
      {tensor(view(2, 4), 1, {3}, {1}), tensor(kFloat6 /* no view */, 0, {6}, {1}),
       tensor(storage("FloatStorage", "0", 6, "N"), 5, {1}, {1}), tensor(view(6, 0), 0, {0}, {1})});
  const std::string bytes = torch_legacy(root, {{"0", 6, kFloats}});
  const TorchFile file(as_bytes(bytes));
  EXPECT_EQ(test::doubles(item(file, 0)), (std::vector<double>{3, 4, 5}));
  EXPECT_EQ(item(file, 0).data(), static_cast<float*>(item(file, 1).data()) + 3);
  EXPECT_EQ(test::doubles(item(file, 2)), (std::vector<double>{5}));
  for (const auto& [offset, elems] : {std::pair{-1, 1}, {0, 7}, {7, 0}, {3, 4}, {2, -1}}) {
    EXPECT_TRUE(
        refused(torch_legacy(list_of({view(offset, elems)}), {{"0", 6, kFloats}}), {"view"}));
  }
  EXPECT_TRUE(
      refused(torch_legacy(list_of({tensor(view(2, 4), 0, {5}, {1})}), {{"0", 6, kFloats}})));
}

TEST(TorchWriter, ReadsBackWhatItWrites) {
  const test::TempFolder folder;
  const Tensor a = test::make_tensor({2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor scalar = test::make_tensor({}, {0.5}, DType::f64);
  const Tensor none = test::make_tensor({0, 2}, {});
  using Object = TorchObject;
  const auto tree = [&] {
    return Object::dict(
        {{Object::text("numbers"),
          Object::list({Object::integer(0), Object::integer(255), Object::integer(256),
                        Object::integer(-1), Object::integer(1LL << 40), Object::integer(INT64_MIN),
                        Object::integer(INT32_MIN), Object::real(0.1), Object::real(-INFINITY),
                        Object::boolean(true), Object::boolean(false), Object::text(""),
                        Object::list({})})},
         {Object::text("state_dict"),
          Object::dict({{Object::text("a"), Object::tensor(a)},
                        {Object::text("n"), Object::tensor(test::make_counter(7))},
                        {Object::text("scalar"), Object::tensor(scalar)},
                        {Object::text("none"), Object::tensor(none)}},
                       true)},
         {Object::integer(3), Object::dict({})}});
  };
  write_torch(folder / "a", tree());
  write_torch(folder / "b", tree());
  const std::string bytes = read_text_file(folder / "a");
  EXPECT_EQ(bytes, read_text_file(folder / "b"));
  const TorchFile file(as_bytes(bytes));
  EXPECT_EQ(show(file.root()),
            "{'numbers': [0, 255, 256, -1, 1099511627776, -9223372036854775808, -2147483648, "
            "0.10000000000000001, -inf, True, False, '', []], 'state_dict': {'a': tensor, "
            "'n': tensor, 'scalar': tensor, 'none': tensor}, 3: {}}");
  const PickleValue& state = *file.root().find("state_dict");
  const auto same = [&](const char* name, const Tensor& expected) {
    const Tensor& got = *state.find(name)->as<Tensor>();
    EXPECT_TRUE(test::identical({{name, got}}, {{name, expected}}));
  };
  same("a", a);
  same("n", test::make_counter(7));
  same("scalar", scalar);
  same("none", none);
}

TEST(TorchWriter, EveryType) {
  const test::TempFolder folder;
  for (const DType dtype :
       {DType::f32, DType::f64, DType::f16, DType::bf16, DType::i64, DType::i32, DType::u8}) {
    const Tensor t = Tensor::zeros(host_allocator(), {3}, dtype);
    for (std::int64_t i = 0; i < 3 * size_bytes(dtype); ++i) {
      static_cast<std::byte*>(t.data())[i] = static_cast<std::byte>(i + 1);
    }
    write_torch(folder / "t", TorchObject::list({TorchObject::tensor(t)}));
    const std::string bytes = read_text_file(folder / "t");
    const TorchFile file(as_bytes(bytes));
    EXPECT_TRUE(test::identical({{"t", item(file, 0)}}, {{"t", t}})) << name(dtype);
  }
}

}  // namespace
}  // namespace msd
