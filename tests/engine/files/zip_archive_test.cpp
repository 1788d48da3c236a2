// SPDX-License-Identifier: MIT
#include "engine/files/zip_archive.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/errors.h"
#include "tests/support/pickle_bytes.h"

namespace msd {
namespace {

using test::as_bytes;
using test::from_hex;
using test::throws;
using test::zip_of;

std::string contents(std::string_view file, const std::string& name) {
  const auto buffer = ZipArchive(as_bytes(file)).read(name);
  return {reinterpret_cast<const char*>(buffer->data()),
          static_cast<std::size_t>(buffer->size_bytes())};
}

// Python's zipfile: writestr(ZipInfo("a/x"), b"abcabcabcabcabcabc") and writestr("y", b"") with
// compress_type ZIP_DEFLATED, and open(ZipInfo("a/x"), "w", force_zip64=True) with ZIP_STORED.
const char* const kDeflated =
    "504b03041400000008000000210004c026dc070000001200000003000000612f784b4c4a4e444500504b030414"
    "00000008000000210000000000020000000000000001000000790300504b010214031400000008000000210004"
    "c026dc0700000012000000030000000000000000000000800100000000612f78504b0102140314000000080000"
    "00210000000000020000000000000001000000000000000000000080012800000079504b050600000000020002"
    "0060000000490000000000";
const char* const kZip64 =
    "504b03042d00000000000000210004c026dcffffffffffffffff03001400612f78010010001200000000000000"
    "1200000000000000616263616263616263616263616263616263504b01022d032d00000000000000210004c026"
    "dc1200000012000000030000000000000000000000800100000000612f78504b05060000000001000100310000"
    "00470000000000";

TEST(ZipArchive, ReadsWhatPythonWrites) {
  const std::string deflated = from_hex(kDeflated), zip64 = from_hex(kZip64);
  EXPECT_EQ(ZipArchive(as_bytes(deflated)).names(), (std::vector<std::string>{"a/x", "y"}));
  EXPECT_EQ(contents(deflated, "a/x"), "abcabcabcabcabcabc");
  EXPECT_EQ(contents(deflated, "y"), "");
  EXPECT_EQ(contents(zip64, "a/x"), "abcabcabcabcabcabc");
}

TEST(ZipArchive, ReadsWhatItWrites) {
  const std::string big(300'000, 'b');
  const std::string file = zip_of({{"one", "1"}, {"folder/two", big}, {"none", ""}});
  EXPECT_EQ(ZipArchive(as_bytes(file)).names(),
            (std::vector<std::string>{"one", "folder/two", "none"}));
  EXPECT_EQ(contents(file, "one"), "1");
  EXPECT_EQ(contents(file, "folder/two"), big);
  EXPECT_EQ(contents(file, "none"), "");
  EXPECT_EQ(file, zip_of({{"one", "1"}, {"folder/two", big}, {"none", ""}}));
}

TEST(ZipArchive, NamesTheMissingEntry) {
  const std::string file = zip_of({{"one", "1"}});
  const ZipArchive archive(as_bytes(file));
  EXPECT_TRUE(archive.contains("one"));
  EXPECT_FALSE(archive.contains("two"));
  EXPECT_TRUE(throws<FormatError>([&] { archive.read("two"); }, {"two", "missing"}));
  EXPECT_TRUE(throws<FormatError>([&] { archive.read("one", 0); }, {"one", "1 bytes"}));
}

// Places of fields in the local header, the entry of the directory and its end (APPNOTE 4.3).
constexpr std::size_t kLocalCrc = 14, kEntryCrc = 16, kEntryPacked = 20, kEntrySize = 24;

struct OneEntry {
  std::string file = zip_of({{"e", "some contents"}});
  std::size_t entry = file.find("PK\x01\x02");
  std::size_t end = file.find("PK\x05\x06");

  void set(std::size_t at, std::uint32_t value) {
    file.replace(at, 4, test::raw(std::vector<std::uint32_t>{value}));
  }
  testing::AssertionResult refused() const {
    return throws<FormatError>([&] { contents(file, "e"); });
  }
};

TEST(ZipArchive, DamagedContentsAreSeen) {
  OneEntry one;
  EXPECT_EQ(contents(one.file, "e"), "some contents");
  one.file[one.file.find("some")] = 'S';
  EXPECT_TRUE(throws<FormatError>([&] { contents(one.file, "e"); }, {"e", "damaged"}));
  OneEntry other;
  other.set(other.entry + kEntryCrc, 1);
  other.set(kLocalCrc, 1);
  EXPECT_TRUE(other.refused());
}

TEST(ZipArchive, SizesThatLie) {
  for (const std::uint32_t size : {0u, 12u, 14u, 1000u, 0x7fffffffu, 0xfffffffeu}) {
    for (const bool packed : {false, true}) {
      OneEntry one;
      one.set(one.entry + kEntrySize, size);
      if (packed) one.set(one.entry + kEntryPacked, size);
      EXPECT_TRUE(one.refused()) << size << packed;
    }
    std::string deflated = from_hex(kDeflated);
    deflated.replace(deflated.find("PK\x01\x02") + kEntrySize, 4,
                     test::raw(std::vector<std::uint32_t>{size}));
    EXPECT_TRUE(throws<FormatError>([&] { contents(deflated, "a/x"); })) << size;
  }
}

TEST(ZipArchive, NamesTwiceAreRefused) {
  std::string file = zip_of({{"one", "1"}, {"two", "2"}});
  for (std::size_t at = file.find("two"); at != file.npos; at = file.find("two")) {
    file.replace(at, 3, "one");
  }
  EXPECT_TRUE(throws<FormatError>([&] { ZipArchive archive(as_bytes(file)); }, {"one", "twice"}));
}

// Many entries of the directory that name the same bytes: a file of megabytes would become
// gigabytes.
TEST(ZipArchive, OverlappingEntriesAreRefused) {
  const OneEntry one;
  const std::string entry = one.file.substr(one.entry, one.end - one.entry);
  std::string file = one.file.substr(0, one.entry), end = one.file.substr(one.end);
  constexpr std::size_t kName = 46;
  for (const char name : {'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l'}) {
    file += entry;
    file[file.size() - entry.size() + kName] = name;
  }
  const auto directory = static_cast<std::uint32_t>(12 * entry.size());
  end.replace(8, 8,
              test::raw(std::vector<std::uint16_t>{12, 12}) +
                  test::raw(std::vector<std::uint32_t>{directory}));
  const std::string many(500, 'x');  // the same with longer contents
  EXPECT_NO_THROW(ZipArchive(as_bytes(file + end)));
  std::string longer = zip_of({{"e", many}});
  const std::size_t start = longer.find("PK\x01\x02");
  const std::string long_entry = longer.substr(start, entry.size());
  std::string overlapping = longer.substr(0, start);
  for (char name = 'a'; name < 'm'; ++name) {
    overlapping += long_entry;
    overlapping[overlapping.size() - entry.size() + kName] = name;
  }
  end.replace(16, 4, test::raw(std::vector<std::uint32_t>{static_cast<std::uint32_t>(start)}));
  EXPECT_TRUE(throws<FormatError>([&] { ZipArchive archive(as_bytes(overlapping + end)); },
                                  {"larger than all of it"}));
}

TEST(ZipArchive, MoreEntriesThanTheFileHasRoomFor) {
  std::string many;
  for (int i = 0; i < 10000; ++i) many += "PK\x01\x02";
  EXPECT_TRUE(throws<FormatError>([&] { ZipArchive archive(as_bytes(many)); }, {"more entries"}));
}

TEST(ZipArchive, TruncationAnywhereIsAnError) {
  for (const std::string& whole : {from_hex(kDeflated), from_hex(kZip64), zip_of({{"e", "abc"}})}) {
    for (std::size_t size = 0; size < whole.size(); ++size) {
      EXPECT_THROW(ZipArchive(as_bytes(std::string_view(whole).substr(0, size))), FormatError);
    }
  }
}

}  // namespace
}  // namespace msd
