// SPDX-License-Identifier: MIT
#include "engine/file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/errors.h"
#include "tests/support/temp_folder.h"

namespace msd {
namespace {

using Names = std::vector<std::string>;
using test::TempFolder;
using test::throws;

std::span<const std::byte> as_span(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

TEST(ReadFile, GivesTheWholeFile) {
  const TempFolder folder;
  // Also around the sizes a reader might grow by.
  for (const std::size_t size : {0, 1, 100, 4096, 65535, 65536, 65537, 200000}) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 7);
    std::ofstream(folder / "file", std::ios::binary) << text;
    EXPECT_EQ(read_text_file(folder / "file"), text);
    const std::vector<std::byte> bytes = read_file(folder / "file");
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), text);
  }
}

TEST(ReadFile, NamesTheFileItCannotRead) {
  const TempFolder folder;
  EXPECT_TRUE(throws<IoError>([&] { read_file(folder / "absent"); }, {"absent"}));
  EXPECT_TRUE(throws<IoError>([&] { read_text_file(folder / "absent"); }, {"absent"}));
  EXPECT_TRUE(throws<IoError>([&] { read_file(folder.path()); }, {folder.path().string()}));
}

TEST(ReadFile, ReadsFilesThatDoNotKnowTheirSize) {
  // /proc says 0 bytes of everything.
  if (!std::filesystem::exists("/proc/self/status")) GTEST_SKIP() << "this system has no /proc";
  EXPECT_NE(read_text_file("/proc/self/status").find("Pid:"), std::string::npos);
}

TEST(WriteFileAtomically, WritesThePartsInOrderAndLeavesNothingElse) {
  const TempFolder folder;
  const std::string a = "first ", b, c(100000, 'c');
  write_file_atomically(folder / "file", {as_span(a), as_span(b), as_span(c)});
  EXPECT_EQ(read_text_file(folder / "file"), a + c);
  EXPECT_EQ(folder.list(), Names{"file"});
  write_file_atomically(folder / "file", "shorter");
  EXPECT_EQ(read_text_file(folder / "file"), "shorter");
  write_file_atomically(folder / "file", "");
  EXPECT_EQ(read_text_file(folder / "file"), "");
  EXPECT_EQ(folder.list(), Names{"file"});
}

TEST(WriteFileAtomically, TakesAPathWithoutAFolder) {
  const TempFolder folder;
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  write_file_atomically("file", "text");
  std::filesystem::current_path(before);
  EXPECT_EQ(read_text_file(folder / "file"), "text");
}

TEST(WriteFileAtomically, AnOpenReaderKeepsTheOldFileWhole) {
  const TempFolder folder;
  write_file_atomically(folder / "file", "old content");
  std::ifstream reader(folder / "file");
  write_file_atomically(folder / "file", "new");
  std::string text;
  std::getline(reader, text);
  EXPECT_EQ(text, "old content");
}

TEST(WriteFileAtomically, AFolderThatIsNotThereIsAnIoError) {
  const TempFolder folder;
  EXPECT_TRUE(throws<IoError>([&] { write_file_atomically(folder / "no/file", "x"); }, {"file"}));
  EXPECT_EQ(folder.list(), Names{});
}

TEST(WriteFileAtomically, AFailedRenameLeavesNoTemporaryFile) {
  const TempFolder folder;
  std::filesystem::create_directory(folder / "taken");
  std::ofstream(folder / "taken/inside") << "old";
  EXPECT_TRUE(throws<IoError>([&] { write_file_atomically(folder / "taken", "x"); }, {"taken"}));
  EXPECT_EQ(folder.list(), Names{"taken"});
  EXPECT_EQ(read_text_file(folder / "taken/inside"), "old");
}

TEST(WriteFileAtomically, AFailedWriteLeavesTheOldFile) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write to a read-only folder";
  const TempFolder folder;
  write_file_atomically(folder / "file", "old");
  std::filesystem::permissions(folder.path(), std::filesystem::perms::owner_write,
                               std::filesystem::perm_options::remove);
  EXPECT_TRUE(throws<IoError>([&] { write_file_atomically(folder / "file", "new"); }, {"file"}));
  std::filesystem::permissions(folder.path(), std::filesystem::perms::owner_write,
                               std::filesystem::perm_options::add);
  EXPECT_EQ(read_text_file(folder / "file"), "old");
  EXPECT_EQ(folder.list(), Names{"file"});
}

/// No file may grow beyond `bytes` while it lives: what a full disk does, for root too.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit = {bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

TEST(WriteFileAtomically, AWriteThatFailsHalfwayLeavesTheOldFile) {
  const TempFolder folder;
  write_file_atomically(folder / "file", "old");
  const std::string text(100000, 'n');
  {
    const FileSizeLimit limit(60000);
    EXPECT_TRUE(throws<IoError>([&] { write_file_atomically(folder / "file", text); }, {"file"}));
  }
  EXPECT_EQ(read_text_file(folder / "file"), "old");
  EXPECT_EQ(folder.list(), Names{"file"});
}

}  // namespace
}  // namespace msd
