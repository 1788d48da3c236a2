// SPDX-License-Identifier: MIT
#include "engine/files/pickle.h"

#include <gtest/gtest.h>

#include <string>

#include "engine/files/pickle_objects.h"
#include "tests/support/errors.h"
#include "tests/support/pickle_bytes.h"

namespace msd {
namespace {

using test::from_hex;
using test::show;
using test::throws;

// What Python 3.11 makes of the expression above each table: pickle.dumps(it, protocol), for the
// protocols 0 to 5 where no others are named.

// [None, True, False, 0, 255, 256, 65535, 65536, -1, 2**31-1, -2**31, 2**31, 2**63-1, -2**63, 0.5,
// -0.0, 1e300, float("inf")]
const char* const kNumbers[] = {
    "286c70300a4e614930310a614930300a6149300a61493235350a61493235360a614936353533350a61493635"
    "3533360a61492d310a6149323134373438333634370a61492d323134373438333634380a614c323134373438"
    "333634384c0a614c393232333337323033363835343737353830374c0a614c2d393232333337323033363835"
    "343737353830384c0a6146302e350a61462d302e300a614631652b3330300a6146696e660a612e",
    "5d7100284e4930310a4930300a4b004bff4d00014dffff4a000001004affffffff4affffff7f4a000000804c"
    "323134373438333634384c0a4c393232333337323033363835343737353830374c0a4c2d3932323333373230"
    "33363835343737353830384c0a473fe0000000000000478000000000000000477e37e43c8800759c477ff000"
    "0000000000652e",
    "80025d7100284e88894b004bff4d00014dffff4a000001004affffffff4affffff7f4a000000808a05000000"
    "80008a08ffffffffffffff7f8a080000000000000080473fe0000000000000478000000000000000477e37e4"
    "3c8800759c477ff0000000000000652e",
    "80035d7100284e88894b004bff4d00014dffff4a000001004affffffff4affffff7f4a000000808a05000000"
    "80008a08ffffffffffffff7f8a080000000000000080473fe0000000000000478000000000000000477e37e4"
    "3c8800759c477ff0000000000000652e",
    "80049565000000000000005d94284e88894b004bff4d00014dffff4a000001004affffffff4affffff7f4a00"
    "0000808a0500000080008a08ffffffffffffff7f8a080000000000000080473fe00000000000004780000000"
    "00000000477e37e43c8800759c477ff0000000000000652e",
    "80059565000000000000005d94284e88894b004bff4d00014dffff4a000001004affffffff4affffff7f4a00"
    "0000808a0500000080008a08ffffffffffffff7f8a080000000000000080473fe00000000000004780000000"
    "00000000477e37e43c8800759c477ff0000000000000652e"};
// {'list': [1, [2, ()]], 'tuple': (1, 2, 3, (4, 5), (6,), (7, 8, 9, 10)), 'dict': {'a': {}}, 3:
// 'x'}
const char* const kContainers[] = {
    "286470300a566c6973740a70310a286c70320a49310a61286c70330a49320a612874616173567475706c650a"
    "70340a2849310a49320a49330a2849340a49350a7470350a2849360a7470360a2849370a49380a49390a4931"
    "300a7470370a7470380a7356646963740a70390a28647031300a56610a7031310a28647031320a737349330a"
    "56780a7031330a732e",
    "7d71002858040000006c69737471015d7102284b015d7103284b0229656558050000007475706c657104284b"
    "014b024b03284b044b05747105284b06747106284b074b084b094b0a74710774710858040000006469637471"
    "097d710a580100000061710b7d710c734b03580100000078710d752e",
    "80027d71002858040000006c69737471015d7102284b015d7103284b0229656558050000007475706c657104"
    "284b014b024b034b044b058671054b06857106284b074b084b094b0a74710774710858040000006469637471"
    "097d710a580100000061710b7d710c734b03580100000078710d752e",
    "80037d71002858040000006c69737471015d7102284b015d7103284b0229656558050000007475706c657104"
    "284b014b024b034b044b058671054b06857106284b074b084b094b0a74710774710858040000006469637471"
    "097d710a580100000061710b7d710c734b03580100000078710d752e",
    "80049555000000000000007d94288c046c697374945d94284b015d94284b022965658c057475706c6594284b"
    "014b024b034b044b0586944b068594284b074b084b094b0a749474948c0464696374947d948c0161947d9473"
    "4b038c017894752e",
    "80059555000000000000007d94288c046c697374945d94284b015d94284b022965658c057475706c6594284b"
    "014b024b034b044b0586944b068594284b074b084b094b0a749474948c0464696374947d948c0161947d9473"
    "4b038c017894752e"};
// loop = [1]; loop.append(loop)
const char* const kLoop[] = {"286c70300a49310a6167300a612e",
                             "5d7100284b016800652e",
                             "80025d7100284b016800652e",
                             "80035d7100284b016800652e",
                             "80049509000000000000005d94284b016800652e",
                             "80059509000000000000005d94284b016800652e"};
// same = ['a', 'b']; (same, same)
const char* const kTwice[] = {"28286c70300a56610a70310a6156620a70320a6167300a7470330a2e",
                              "285d710028580100000061710158010000006271026568007471032e",
                              "80025d710028580100000061710158010000006271026568008671032e",
                              "80035d710028580100000061710158010000006271026568008671032e",
                              "80049511000000000000005d94288c0161948c01629465680086942e",
                              "80059511000000000000005d94288c0161948c01629465680086942e"};
// d = OrderedDict(w=1, b=2); d._metadata = OrderedDict({"": {"version": 1}}); protocols 2 and up
const char* const kOrdered[] = {
    "800263636f6c6c656374696f6e730a4f726465726564446963740a7100295271012858010000007771024b01"
    "58010000006271034b02757d710458090000005f6d657461646174617105680029527106580000000071077d"
    "7108580700000076657273696f6e71094b01737373622e",
    "800363636f6c6c656374696f6e730a4f726465726564446963740a7100295271012858010000007771024b01"
    "58010000006271034b02757d710458090000005f6d657461646174617105680029527106580000000071077d"
    "7108580700000076657273696f6e71094b01737373622e",
    "80049558000000000000008c0b636f6c6c656374696f6e73948c0b4f72646572656444696374949394295294"
    "288c0177944b018c0162944b02757d948c095f6d657461646174619468022952948c00947d948c0776657273"
    "696f6e944b01737373622e",
    "80059558000000000000008c0b636f6c6c656374696f6e73948c0b4f72646572656444696374949394295294"
    "288c0177944b018c0162944b02757d948c095f6d657461646174619468022952948c00947d948c0776657273"
    "696f6e944b01737373622e"};
// b"ab" * 1, 300 bytes, "t" * 300 and "\u00e9" of protocols 4: the long and short forms
const char* const kTexts =
    "8004951b000000000000005d942843026162944303636363948c02c3a9948c0374747494652e";

class ListHost : public PythonHost {
 public:
  PickleValue* call(const PickleValue& global, const PickleValue& arguments,
                    PickleArena& arena) override {
    PickleValue* made = PythonHost::call(global, arguments, arena);
    ++calls;
    return made;
  }
  PickleValue* persistent(const PickleValue& id, PickleArena& arena) override {
    return arena.add("outside " + show(id));
  }
  int calls = 0;
};

class Pickle : public testing::Test {
 protected:
  const PickleValue& read(const std::string& pickle) {
    ByteReader reader(test::as_bytes(pickle));
    return *read_pickle(reader, host_, arena_);
  }
  testing::AssertionResult refused(const std::string& pickle,
                                   std::initializer_list<std::string_view> parts = {}) {
    return throws<FormatError>([&] { read(pickle); }, parts);
  }

  ListHost host_;
  PickleArena arena_;
};

TEST_F(Pickle, NumbersOfEveryProtocol) {
  for (const char* const pickle : kNumbers) {
    EXPECT_EQ(show(read(from_hex(pickle))),
              "[None, True, False, 0, 255, 256, 65535, 65536, -1, 2147483647, -2147483648, "
              "2147483648, 9223372036854775807, -9223372036854775808, 0.5, -0, "
              "1.0000000000000001e+300, inf]");
  }
}

TEST_F(Pickle, ContainersOfEveryProtocol) {
  for (const char* const pickle : kContainers) {
    EXPECT_EQ(show(read(from_hex(pickle))),
              "{'list': [1, [2, ()]], 'tuple': (1, 2, 3, (4, 5), (6,), (7, 8, 9, 10)), "
              "'dict': {'a': {}}, 3: 'x'}");
  }
}

TEST_F(Pickle, AListThatHoldsItself) {
  for (const char* const pickle : kLoop) {
    const PickleValue& loop = read(from_hex(pickle));
    EXPECT_EQ(show(loop, 2), "[1, [1, [..., ...]]]");
    EXPECT_EQ(loop.as<PickleValue::List>()->items[1], &loop);
  }
}

TEST_F(Pickle, WhatIsSharedStaysShared) {
  for (const char* const pickle : kTwice) {
    const PickleValue& twice = read(from_hex(pickle));
    EXPECT_EQ(show(twice), "(['a', 'b'], ['a', 'b'])");
    const auto& items = twice.as<PickleValue::List>()->items;
    EXPECT_EQ(items[0], items[1]);
  }
}

TEST_F(Pickle, AnOrderedDictWithAttributes) {
  for (const char* const pickle : kOrdered) {
    const PickleValue& dict = read(from_hex(pickle));
    EXPECT_EQ(show(dict), "{'w': 1, 'b': 2}");
    EXPECT_EQ(dict.find("b")->as<std::int64_t>()[0], 2);
    EXPECT_EQ(dict.find("_metadata"), nullptr);
  }
  EXPECT_EQ(host_.calls, 2 * 4);  // and no other
}

TEST_F(Pickle, TextsAndBytes) {
  EXPECT_EQ(show(read(from_hex(kTexts))), "[b'ab', b'ccc', '\u00e9', 'ttt']");
  // The long forms: BINUNICODE8, BINBYTES8, BINBYTES; Python 2's STRING, BINSTRING,
  // SHORT_BINSTRING.
  const std::string eight("\1\0\0\0\0\0\0\0", 8), four("\1\0\0\0", 4);
  EXPECT_EQ(show(read("(\x8d" + eight + "a\x8e" + eight + "bB" + four + "ct.")),
            "('a', b'b', b'c')");
  EXPECT_EQ(show(read("(S'it'\nT" + four + "aU\1bt.")), "('it', 'a', 'b')");
  // Protocol 0 writes what is not plain text as escapes, which would have to be undone.
  for (const char* escaped :
       {"S'a\\n'\n.", "Va\\u00e9\n.", "V\xe9\n.", "S'\n.", "Sa\n.", "S'a\"\n."}) {
    EXPECT_TRUE(refused(escaped)) << escaped;
  }
}

TEST_F(Pickle, StackOpcodes) {
  EXPECT_EQ(show(read("(K\1K\2K\3"
                      "02t.")),
            "(1, 2, 2)");  // POP, DUP
  EXPECT_EQ(show(read("(K\1(K\2K\3"
                      "1K\4t.")),
            "(1, 4)");                           // POP_MARK
  EXPECT_EQ(show(read("(K\1K\2l.")), "[1, 2]");  // LIST
  EXPECT_EQ(show(read("(K\1K\2d.")), "{1: 2}");  // DICT
  const std::string long_get("j\x09\0\0\0", 5);
  EXPECT_EQ(show(read("K\7p9\n0(g9\nh\x09" + long_get + "t.")), "(7, 7, 7)");
  EXPECT_EQ(show(read(std::string("K\7r\x10\x27\0\0Nj\x10\x27\0\0\x86.", 15))), "(None, 7)");
}

TEST_F(Pickle, IntegersBeyond64Bits) {
  // pickle.dumps(2**64 - 1, 2), of torch.initial_seed(); and 0 of no bytes.
  EXPECT_EQ(show(read(from_hex("80028a09ffffffffffffffff002e"))), "'0x00ffffffffffffffff'");
  EXPECT_EQ(show(read("L18446744073709551615L\n.")), "'18446744073709551615'");
  EXPECT_EQ(show(read(std::string("\x8a\0.", 3))), "0");
  EXPECT_EQ(show(read("\x8a\1\xff.")), "-1");
  EXPECT_EQ(show(read("\x8b\2" + std::string(3, '\0') + "\1\x80.")), "-32767");
  EXPECT_EQ(show(read("\x8a\x11" + std::string(16, '\0') + "\1.")),
            "'0x01" + std::string(32, '0') + "'");
  EXPECT_TRUE(
      refused(std::string("\x8b\x01\x10\0\0", 5) + std::string(4097, '\1') + ".", {"4097 bytes"}));
  for (const char* bad :
       {"I\n.", "I1x\n.", "Ix\n.", "L-\n.", "I 1\n.", "F1x\n.", "F\n.", "Fx\n."}) {
    EXPECT_TRUE(refused(bad)) << bad;
  }
}

// os.system of every protocol, as pickle.dumps() writes an object whose __reduce__ returns it; and
// every other way in.
TEST_F(Pickle, CallsAreRefusedByName) {
  const char* const reduced[] = {
      "63706f7369780a73797374656d0a70300a2856747275650a70310a7470320a5270330a2e",
      "63706f7369780a73797374656d0a7100285804000000747275657101747102527103"
      "2e",
      "800263706f7369780a73797374656d0a71005804000000747275657101857102527103"
      "2e",
      "800495"
      "1f00000000000000"
      "8c05706f736978948c0673797374656d9493948c047472756594859452942e"};
  for (const char* const pickle : reduced) {
    EXPECT_TRUE(refused(from_hex(pickle), {"posix.system", "refused"})) << pickle;
  }
  const std::string system = "cposix\nsystem\n";
  EXPECT_TRUE(refused("(iposix\nsystem\n.", {"posix.system"}));  // INST
  EXPECT_TRUE(refused("(" + system + "o.", {"posix.system"}));   // OBJ
  EXPECT_TRUE(refused(system + ")\x81.", {"posix.system"}));     // NEWOBJ
  EXPECT_TRUE(refused(system + ")}\x92.", {"posix.system"}));    // NEWOBJ_EX
  EXPECT_TRUE(refused(system + "}b.", {"posix.system"}));        // BUILD
  EXPECT_TRUE(refused("c__builtin__\neval\n(V1\ntR.", {"__builtin__.eval"}));
  EXPECT_TRUE(refused("\x82\1.", {"EXT1"}));
  EXPECT_TRUE(refused(std::string("\x83\1\0.", 4), {"EXT2"}));
  EXPECT_TRUE(refused(std::string("\x84\1\0\0\0.", 6), {"EXT4"}));
  EXPECT_TRUE(refused("\x97.", {"NEXT_BUFFER"}));
  EXPECT_TRUE(refused("P1\n.", {"PERSID"}));
  EXPECT_TRUE(refused("\xff.", {"255"}));
  EXPECT_TRUE(refused("cx\n" + std::string(500, 'n') + "\x01\n)R.", {"x.nnn", "..."}));
  EXPECT_EQ(host_.calls, 0);
  EXPECT_EQ(show(read("(icollections\nOrderedDict\n.")), "{}");
}

TEST_F(Pickle, WhatIsNoCall) {
  const std::string dict = "ccollections\nOrderedDict\n";
  for (const std::string& bad :
       {std::string("K\1)R."), dict + "K\1R.", dict + "]R.", dict + "R.", dict + "K\1b.",
        std::string("}]b."), std::string(")R."), std::string("K\1V1\n\x93."), dict + "}b."}) {
    EXPECT_TRUE(refused(bad)) << bad;
  }
  EXPECT_EQ(show(read("V1\nQ.")), "'outside '1''");
}

TEST_F(Pickle, BrokenStacks) {
  for (const char* bad : {".",
                          "0",
                          "(.",
                          "K\1(.",
                          "1.",
                          "t.",
                          "a.",
                          "]a.",
                          "K\1K\2a.",
                          ")K\1a.",
                          "]K\1K\2s.",
                          "}K\1s.",
                          "}(K\1u.",
                          "(K\1d.",
                          "e.",
                          "(e.",
                          "2.",
                          "(2.",
                          "p0\n.",
                          "g0\n.",
                          "h\1.",
                          "pX\n.",
                          "g99999999999999999999\n.",
                          "\x85.",
                          "K\1\x86.",
                          "\x94.",
                          "\x80\6K\1."}) {
    EXPECT_TRUE(refused(bad)) << bad;
  }
}

TEST_F(Pickle, TruncationAnywhereIsAnError) {
  for (const char* const* table : {kNumbers, kContainers, kLoop}) {
    for (int protocol = 0; protocol < 6; ++protocol) {
      const std::string whole = from_hex(table[protocol]);
      for (std::size_t size = 0; size < whole.size(); ++size) {
        EXPECT_TRUE(refused(whole.substr(0, size))) << protocol << ", cut to " << size;
      }
    }
  }
  // Sizes that are not there.
  EXPECT_TRUE(refused(std::string("X\xff\xff\xff\xff", 5), {"truncated"}));
  EXPECT_TRUE(refused("\x8d" + std::string(8, '\xff'), {"truncated"}));
  EXPECT_TRUE(refused("\x8e" + std::string(8, '\x7f'), {"truncated"}));
}

TEST_F(Pickle, NestingHasNoEnd) {
  constexpr std::size_t kDeep = 20000;
  const PickleValue* value = &read(std::string(kDeep, ']') + std::string(kDeep - 1, 'a') + ".");
  for (std::size_t depth = 1; depth < kDeep; ++depth) {
    ASSERT_EQ(value->as<PickleValue::List>()->items.size(), 1u);
    value = value->as<PickleValue::List>()->items[0];
  }
}

// Each makes much of a few bytes; the arena bounds what all of it may be.
TEST_F(Pickle, MemoryIsBounded) {
  const auto many = [](const std::string& part) {
    std::string out;
    for (int i = 0; i < 2'000'000; ++i) out += part;
    return out;
  };
  for (const std::string& hostile :
       {many("]"), many("("), "N" + many("2"), "N" + many("\x94"), "](" + many("N") + "e.",
        "]" + many("Na") + ".", "}" + many("NNs") + ".", many("G12345678"),
        "]q\1(" + many("N") + "e0" + many("h\1\x85")}) {
    PickleArena arena;
    ByteReader reader(test::as_bytes(hostile));
    EXPECT_TRUE(throws<FormatError>([&] { read_pickle(reader, host_, arena); },
                                    {"more objects than its size accounts for"}));
    EXPECT_LT(reader.at(), hostile.size() - 1);
  }
}

}  // namespace
}  // namespace msd
