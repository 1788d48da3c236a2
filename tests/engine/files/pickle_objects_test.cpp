// SPDX-License-Identifier: MIT
#include "engine/files/pickle_objects.h"

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <vector>

#include "tests/support/errors.h"
#include "tests/support/pickle_bytes.h"
#include "tests/support/tensors.h"

namespace msd {
namespace {

using test::from_hex;
using test::global;
using test::show;
using test::text;
using test::throws;

class NothingOutside : public PythonHost {
 public:
  PickleValue* persistent(const PickleValue&, PickleArena&) override {
    throw FormatError("refers to something outside");
  }
};

class PickleObjects : public testing::Test {
 protected:
  const PickleValue& read(const std::string& pickle) {
    kept_.push_back(pickle);  // which the values borrow from
    ByteReader reader(test::as_bytes(kept_.back()));
    return *read_pickle(reader, host_, arena_);
  }
  // With its elements where it is a tensor.
  std::string said(const std::string& pickle) {
    const PickleValue& value = read(pickle);
    const auto* tensor = value.as<Tensor>();
    if (tensor == nullptr) return show(value);
    std::string out =
        message("tensor ", name(tensor->dtype()), " ", shape_text(tensor->shape()), ":");
    for (const double element : test::doubles(tensor->contiguous())) out += message(" ", element);
    return out;
  }
  testing::AssertionResult refused(const std::string& pickle,
                                   std::initializer_list<std::string_view> parts = {}) {
    return throws<FormatError>([&] { read(pickle); }, parts);
  }

  NothingOutside host_;
  PickleArena arena_{1 << 16};
  std::deque<std::string> kept_;
};

struct Recipe {
  const char* expected;
  std::vector<const char*> pickles;
};
// What Python 3.11 makes of the expression above each, by protocols 2, 4 and 5.
const Recipe kRecipes[] = {
    // collections.Counter([150, 150, 225]), the milestones of MultiStepLR
    {"{150: 2, 225: 1}",
     {"800263636f6c6c656374696f6e730a436f756e7465720a71007d7101284b964b024be14b0175857102527103"
      "2e",
      "8004952b000000000000008c0b636f6c6c656374696f6e73948c07436f756e7465729493947d94284b964b02"
      "4be14b0175859452942e"}},
    // collections.defaultdict(list, {"a": 1})
    {"{'a': 1}",
     {"800263636f6c6c656374696f6e730a64656661756c74646963740a7100635f5f6275696c74696e5f5f0a6c69"
      "73740a710185710252710358010000006171044b01732e",
      "8004953e000000000000008c0b636f6c6c656374696f6e73948c0b64656661756c74646963749493948c0862"
      "75696c74696e73948c046c697374949394859452948c0161944b01732e"}},
    // collections.deque([1, 2], maxlen=3)
    {"[1, 2]",
     {"800263636f6c6c656374696f6e730a64657175650a7100294b03867101527102284b014b02652e",
      "80049526000000000000008c0b636f6c6c656374696f6e73948c056465717565949394294b0386945294284b"
      "014b02652e"}},
    // {7}
    {"[7]",
     {"8002635f5f6275696c74696e5f5f0a7365740a71005d71014b07618571025271032e",
      "80049507000000000000008f94284b07902e", "80059507000000000000008f94284b07902e"}},
    // frozenset([7])
    {"[7]",
     {"8002635f5f6275696c74696e5f5f0a66726f7a656e7365740a71005d71014b07618571025271032e",
      "8004950600000000000000284b0791942e", "8005950600000000000000284b0791942e"}},
    // b"a\xff"
    {"b'a\xff'",
     {"8002635f636f646563730a656e636f64650a7100580300000061c3bf710158060000006c6174696e31710286"
      "71035271042e",
      "8004950600000000000000430261ff942e"}},
    // bytearray(b"a\xff")
    {"b'a\xff'",
     {"8002635f5f6275696c74696e5f5f0a6279746561727261790a7100635f636f646563730a656e636f64650a71"
      "01580300000061c3bf710258060000006c6174696e3171038671045271058571065271072e",
      "80049523000000000000008c086275696c74696e73948c09627974656172726179949394430261ff94859452"
      "942e",
      "8005950d0000000000000096020000000000000061ff942e"}},
    // 1+2j
    {"complex(1, 2)",
     {"8002635f5f6275696c74696e5f5f0a636f6d706c65780a7100473ff000000000000047400000000000000086"
      "71015271022e",
      "8004952e000000000000008c086275696c74696e73948c07636f6d706c6578949394473ff000000000000047"
      "4000000000000000869452942e"}},
    // argparse.Namespace(lr=0.5)
    {"argparse.Namespace{'lr': 0.5}",
     {"80026361726770617273650a4e616d6573706163650a7100298171017d710258020000006c727103473fe000"
      "000000000073622e",
      "8004952f000000000000008c086172677061727365948c094e616d6573706163659493942981947d948c026c"
      "7294473fe000000000000073622e"}},
    // train.Foo(), with an attribute x
    {"train.Foo{'x': 1}",
     {"800263747261696e0a466f6f0a7100298171017d710258010000007871034b0173622e",
      "8004951e000000000000008c05747261696e948c03466f6f9493942981947d948c0178944b0173622e"}},
    // train.Bag(a=1), a subclass of dict
    {"train.Bag{'a': 1}",
     {"800263747261696e0a4261670a71002981710158010000006171024b01732e",
      "8004951b000000000000008c05747261696e948c034261679493942981948c0161944b01732e"}},
    // train.NT(1, 2), a namedtuple
    {"train.NT(1, 2)",
     {"800263747261696e0a4e540a71004b014b028671018171022e",
      "80049518000000000000008c05747261696e948c024e549493944b014b02869481942e"}},
    // pathlib.PurePosixPath("/a/b")
    {"pathlib.PurePosixPath(\"/\", \"a\", \"b\")",
     {"800263706174686c69620a50757265506f736978506174680a710058010000002f7101580100000061710258"
      "010000006271038771045271052e",
      "8004952d000000000000008c07706174686c6962948c0d50757265506f736978506174689493948c012f948c"
      "0161948c016294879452942e"}},
    // datetime.timedelta(1, 2, 3)
    {"datetime.timedelta(1, 2, 3)",
     {"8002636461746574696d650a74696d6564656c74610a71004b014b024b038771015271022e",
      "80049524000000000000008c086461746574696d65948c0974696d6564656c74619493944b014b024b038794"
      "52942e"}},
    // numpy.float64(0.5), of NumPy 1.26 and 2.4 as all below
    {"0.5",
     {"8002636e756d70792e636f72652e6d756c746961727261790a7363616c61720a7100636e756d70790a647479"
      "70650a71015802000000663871028988877103527104284b0358010000003c71054e4e4e4affffffff4affff"
      "ffff4b0074710662635f636f646563730a656e636f64650a71075809000000000000000000c3a03f71085806"
      "0000006c6174696e31710986710a52710b86710c52710d2e",
      "80049569000000000000008c156e756d70792e636f72652e6d756c74696172726179948c067363616c617294"
      "93948c056e756d7079948c0564747970659493948c02663894898887945294284b038c013c944e4e4e4affff"
      "ffff4affffffff4b007494624308000000000000e03f94869452942e",
      "8002636e756d70792e5f636f72652e6d756c746961727261790a7363616c61720a7100636e756d70790a6474"
      "7970650a71015802000000663871028988877103527104284b0358010000003c71054e4e4e4affffffff4aff"
      "ffffff4b0074710662635f636f646563730a656e636f64650a71075809000000000000000000c3a03f710858"
      "060000006c6174696e31710986710a52710b86710c52710d2e",
      "8004956a000000000000008c166e756d70792e5f636f72652e6d756c74696172726179948c067363616c6172"
      "9493948c056e756d7079948c0564747970659493948c02663894898887945294284b038c013c944e4e4e4aff"
      "ffffff4affffffff4b007494624308000000000000e03f94869452942e"}},
    // numpy.float32(1.5)
    {"1.5",
     {"8002636e756d70792e636f72652e6d756c746961727261790a7363616c61720a7100636e756d70790a647479"
      "70650a71015802000000663471028988877103527104284b0358010000003c71054e4e4e4affffffff4affff"
      "ffff4b0074710662635f636f646563730a656e636f64650a710758050000000000c3803f710858060000006c"
      "6174696e31710986710a52710b86710c52710d2e",
      "8002636e756d70792e5f636f72652e6d756c746961727261790a7363616c61720a7100636e756d70790a6474"
      "7970650a71015802000000663471028988877103527104284b0358010000003c71054e4e4e4affffffff4aff"
      "ffffff4b0074710662635f636f646563730a656e636f64650a710758050000000000c3803f71085806000000"
      "6c6174696e31710986710a52710b86710c52710d2e"}},
    // numpy.arange(6, dtype=numpy.float32).reshape(2, 3)
    {"tensor f32 [2,3]: 0 1 2 3 4 5",
     {"8002636e756d70792e636f72652e6d756c746961727261790a5f7265636f6e7374727563740a7100636e756d"
      "70790a6e6461727261790a71014b00857102635f636f646563730a656e636f64650a71035801000000627104"
      "58060000006c6174696e317105867106527107877108527109284b014b024b0386710a636e756d70790a6474"
      "7970650a710b58020000006634710c898887710d52710e284b0358010000003c710f4e4e4e4affffffff4aff"
      "ffffff4b0074711062896803581b000000000000000000c2803f00000040000040400000c280400000c2a040"
      "71116805867112527113747114622e",
      "800495a2000000000000008c156e756d70792e636f72652e6d756c74696172726179948c0c5f7265636f6e73"
      "74727563749493948c056e756d7079948c076e6461727261799493944b0085944301629487945294284b014b"
      "024b03869468038c0564747970659493948c02663494898887945294284b038c013c944e4e4e4affffffff4a"
      "ffffffff4b00749462894318000000000000803f0000004000004040000080400000a040947494622e",
      "8005958d000000000000008c126e756d70792e636f72652e6e756d65726963948c0b5f66726f6d6275666665"
      "7294939428961800000000000000000000000000803f0000004000004040000080400000a040948c056e756d"
      "7079948c0564747970659493948c02663494898887945294284b038c013c944e4e4e4affffffff4affffffff"
      "4b007494624b024b0386948c014394749452942e",
      "8002636e756d70792e5f636f72652e6d756c746961727261790a5f7265636f6e7374727563740a7100636e75"
      "6d70790a6e6461727261790a71014b00857102635f636f646563730a656e636f64650a710358010000006271"
      "0458060000006c6174696e317105867106527107877108527109284b014b024b0386710a636e756d70790a64"
      "747970650a710b58020000006634710c898887710d52710e284b0358010000003c710f4e4e4e4affffffff4a"
      "ffffffff4b0074711062896803581b000000000000000000c2803f00000040000040400000c280400000c2a0"
      "4071116805867112527113747114622e",
      "800495a3000000000000008c166e756d70792e5f636f72652e6d756c74696172726179948c0c5f7265636f6e"
      "7374727563749493948c056e756d7079948c076e6461727261799493944b0085944301629487945294284b01"
      "4b024b03869468038c0564747970659493948c02663494898887945294284b038c013c944e4e4e4affffffff"
      "4affffffff4b00749462894318000000000000803f0000004000004040000080400000a040947494622e",
      "8005958e000000000000008c136e756d70792e5f636f72652e6e756d65726963948c0b5f66726f6d62756666"
      "657294939428961800000000000000000000000000803f0000004000004040000080400000a040948c056e75"
      "6d7079948c0564747970659493948c02663494898887945294284b038c013c944e4e4e4affffffff4affffff"
      "ff4b007494624b024b0386948c014394749452942e"}},
    // numpy.int64(-3)
    {"-3",
     {"8002636e756d70792e5f636f72652e6d756c746961727261790a7363616c61720a7100636e756d70790a6474"
      "7970650a71015802000000693871028988877103527104284b0358010000003c71054e4e4e4affffffff4aff"
      "ffffff4b0074710662635f636f646563730a656e636f64650a71075810000000c3bdc3bfc3bfc3bfc3bfc3bf"
      "c3bfc3bf710858060000006c6174696e31710986710a52710b86710c52710d2e"}},
    // numpy.bool_(True)
    {"True",
     {"8002636e756d70792e5f636f72652e6d756c746961727261790a7363616c61720a7100636e756d70790a6474"
      "7970650a71015802000000623171028988877103527104284b0358010000007c71054e4e4e4affffffff4aff"
      "ffffff4b0074710662635f636f646563730a656e636f64650a7107580100000001710858060000006c617469"
      "6e31710986710a52710b86710c52710d2e"}},
    // numpy.asfortranarray(numpy.arange(6).reshape(2, 3))
    {"tensor i64 [2,3]: 0 1 2 3 4 5",
     {"8002636e756d70792e5f636f72652e6d756c746961727261790a5f7265636f6e7374727563740a7100636e75"
      "6d70790a6e6461727261790a71014b00857102635f636f646563730a656e636f64650a710358010000006271"
      "0458060000006c6174696e317105867106527107877108527109284b014b024b0386710a636e756d70790a64"
      "747970650a710b58020000006938710c898887710d52710e284b0358010000003c710f4e4e4e4affffffff4a"
      "ffffffff4b007471106288680358300000000000000000000000030000000000000001000000000000000400"
      "0000000000000200000000000000050000000000000071116805867112527113747114622e",
      "800595a6000000000000008c136e756d70792e5f636f72652e6e756d65726963948c0b5f66726f6d62756666"
      "6572949394289630000000000000000000000000000000030000000000000001000000000000000400000000"
      "00000002000000000000000500000000000000948c056e756d7079948c0564747970659493948c0269389489"
      "8887945294284b038c013c944e4e4e4affffffff4affffffff4b007494624b024b0386948c01469474945294"
      "2e"}},
};

TEST_F(PickleObjects, AsPythonAndNumpyWriteThem) {
  for (const Recipe& recipe : kRecipes) {
    for (const char* const pickle : recipe.pickles) {
      EXPECT_EQ(said(from_hex(pickle)), recipe.expected) << pickle;
    }
  }
}

TEST_F(PickleObjects, ClassesAndFunctionsMayBeNamed) {
  for (const char* name : {"float32", "int8", "per_tensor_affine", "channels_last"}) {
    EXPECT_EQ(show(read(global("torch", name) + ".")),
              message("the class or function torch.", name));
  }
  EXPECT_EQ(show(read(global("train", "lr_of") + ".")), "the class or function train.lr_of");
}

TEST_F(PickleObjects, HarmlessCallsAreObjects) {
  const std::string function = global("train", "f");
  EXPECT_EQ(show(read(global("torch", "device") + "(" + text("cuda") + "K\1tR.")),
            "torch.device(\"cuda\", 1)");
  EXPECT_EQ(show(read(global("builtins", "getattr") + "(" + function + text("run") + "tR.")),
            "getattr");  // a bound method
  EXPECT_EQ(show(read(global("functools", "partial") + function + "\x85R(" + function + ")}Ntb.")),
            "functools.partial");
  EXPECT_EQ(show(read(global("copy_reg", "_reconstructor") + "(" + global("train", "Foo") +
                      global("__builtin__", "object") + "NtR}" + text("x") + "K\1sb.")),
            "train.Foo{'x': 1}");  // of protocols 0 and 1
  EXPECT_EQ(show(read(global("numpy.random._pickle", "__randomstate_ctor") + ")R.")),
            "numpy.random._pickle.__randomstate_ctor");
  EXPECT_EQ(show(read(global("collections", "Counter") + ")R.")), "{}");
  EXPECT_EQ(show(read(global("builtins", "bytearray") + ")R.")), "b''");
}

// A numpy.ndarray, or with "scalar" a scalar, of these bytes.
std::string ndarray(const std::string& code, const std::string& order,
                    const std::vector<std::int64_t>& shape, const std::string& bytes) {
  const std::string dtype = global("numpy", "dtype") + "(" + text(code) + "\x89\x88tR(K\3" +
                            text(order) + "NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK" +
                            std::string(1, '\0') + "tb";
  return global("numpy.core.multiarray", "_reconstruct") + "(" + global("numpy", "ndarray") +
         test::tuple({0}) + "C\1btR(K\1" + test::tuple(shape) + dtype + "\x89" + bytes + "tb.";
}

TEST_F(PickleObjects, ArraysThatNoTensorHoldsAreObjects) {
  const std::string bytes = "C\x08" + std::string(8, '\1');
  EXPECT_EQ(said(ndarray("u1", "|", {8}, bytes)), "tensor u8 [8]: 1 1 1 1 1 1 1 1");
  const std::int64_t huge = std::int64_t{1} << 62;
  for (const std::string& other :
       {ndarray("f4", ">", {2}, bytes), ndarray("O", "|", {1}, "]Na"),
        ndarray("U1", "<", {2}, bytes), ndarray("c8", "<", {1}, bytes),
        ndarray("V8", "|", {1}, bytes), ndarray("f4", "<", {3}, bytes),
        ndarray("f4", "<", {-2}, bytes), ndarray("f4", "<", {huge, huge}, bytes),
        ndarray("u1", "|", {huge, 2, 4, 0}, bytes),
        ndarray("u1", "|", std::vector<std::int64_t>(65, 1), bytes),
        ndarray("u1", "|", {0, huge, huge}, "C" + std::string(1, '\0'))}) {
    EXPECT_TRUE(said(other).starts_with("numpy.ndarray")) << said(other);
  }
}

// One array's bytes, used again and again, are copied no more than the file could hold.
TEST_F(PickleObjects, CopiesAreBounded) {
  const std::string bytes = "C\xff" + std::string(255, '\1');
  std::string many = "](" + bytes + "q\1" + "0";
  for (int i = 0; i < 1000; ++i) {
    std::string array = ndarray("u1", "|", {255}, "h\1");
    array.pop_back();
    many += array;
  }
  const auto& items = read(many + "e.").as<PickleValue::List>()->items;
  ASSERT_EQ(items.size(), 1000u);
  int copies = 0;
  for (const PickleValue* item : items) copies += item->as<Tensor>() != nullptr;
  EXPECT_EQ(copies, (1 << 16) / 255);
}

TEST_F(PickleObjects, OtherCallsAreRefusedByName) {
  for (const char* name : {"load", "hub", "storage._load_from_bytes", "Tensor.numpy", "compile"}) {
    EXPECT_TRUE(refused(global("torch", name) + ")R.", {message("torch.", name), "refused"}));
  }
  for (const char* call : {")R.", "(i", "(o"}) {
    const std::string made = std::string(call) == "(i"   ? "(itrain\nmake\n."
                             : std::string(call) == "(o" ? "(" + global("train", "make") + "o."
                                                         : global("train", "make") + ")R.";
    EXPECT_TRUE(refused(made, {"train.make", "state_dict()"})) << call;
  }
  // What a harmless call gave is called in its turn.
  EXPECT_TRUE(
      refused(global("builtins", "getattr") + "(" + global("train", "f") + text("run") + "tR)R.",
              {"calls getattr"}));
}

TEST_F(PickleObjects, ModulesThatReachTheMachineAreNotEvenNamed) {
  for (const char* module : {"os", "posix", "nt", "subprocess", "sys", "shutil", "socket", "runpy",
                             "importlib", "ctypes", "os.path", "pickle"}) {
    EXPECT_TRUE(refused(global(module, "anything") + ".", {module, "refused"})) << module;
    EXPECT_TRUE(refused(global(module, "anything") + ")\x81}b.", {module, "refused"})) << module;
  }
  for (const char* function : {"eval", "exec", "compile", "open", "__import__"}) {
    for (const char* module : {"builtins", "__builtin__"}) {
      EXPECT_TRUE(refused(global(module, function) + ".", {function, "refused"})) << function;
    }
  }
  EXPECT_EQ(show(read(global("ossify", "f") + ".")), "the class or function ossify.f");
}

TEST_F(PickleObjects, StateBelongsToObjectsAndContainers) {
  EXPECT_EQ(show(read("]K\1a}b.")), "[1]");  // a list with attributes
  EXPECT_EQ(show(read(global("train", "Foo") + ")\x81K\1a.")), "train.Foo");  // a list itself
  for (const std::string& bad : {std::string("N}b."), std::string("K\1}b."), std::string("]Nb."),
                                 global("train", "Foo") + "}b."}) {
    EXPECT_TRUE(refused(bad, {"sets attributes"})) << bad;
  }
}

}  // namespace
}  // namespace msd
