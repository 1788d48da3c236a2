// SPDX-License-Identifier: MIT
#include "engine/files/file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/errors.h"
#include "tests/support/limited_file_system.h"
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

TEST(WriteFileAtomically, KeepsThePreviousFile) {
  const TempFolder folder;
  const auto write = [&](const std::string& text) {
    write_file_atomically(folder / "file", {as_span(text)}, folder / "previous");
  };
  write("1");
  EXPECT_EQ(folder.list(), Names{"file"});
  write("2");
  write("3");
  EXPECT_EQ(read_text_file(folder / "file"), "3");
  EXPECT_EQ(read_text_file(folder / "previous"), "2");
  EXPECT_EQ(folder.list(), (Names{"file", "previous"}));
}

TEST(WriteFileAtomically, GathersPartsOfEverySize) {
  const TempFolder folder;
  std::vector<std::string> texts;
  for (const std::size_t size : {1, 262143, 0, 5, 262144, 1000000, 3}) {
    texts.emplace_back(size, static_cast<char>('a' + texts.size()));
  }
  std::vector<std::span<const std::byte>> parts;
  std::string whole;
  for (const std::string& text : texts) {
    parts.push_back(as_span(text));
    whole += text;
  }
  write_file_atomically(folder / "file", parts);
  EXPECT_TRUE(read_text_file(folder / "file") == whole);
}

// Both names that a name with this process's number may be left under are gone or new.
TEST(WriteFileAtomically, DoesNotWriteIntoATemporaryNameLeftBehind) {
  const TempFolder folder;
  write_file_atomically(folder / "kept", "kept");
  const std::string left = folder.path("file.msd-tmp" + std::to_string(::getpid()));
  std::filesystem::create_hard_link(folder / "kept", left);
  write_file_atomically(folder / "file", "new");
  EXPECT_EQ(read_text_file(folder / "kept"), "kept");
  std::filesystem::create_hard_link(folder / "kept", left);
  link_file_atomically(folder / "file", folder / "file2");
  EXPECT_EQ(read_text_file(folder / "kept"), "kept");
}

TEST(WriteFileAtomically, WhatDoesNotFitIsNotBegun) {
  const TempFolder folder;
  write_file_atomically(folder / "file", "old");
  const std::string text(2'500'000, 'n');
  test::LimitedFileSystem full(1'200'000), enough(2'500'000);
  {
    const FileSystemOverride override(full);
    EXPECT_TRUE(throws<IoError>(
        [&] { write_file_atomically(folder / "file", {as_span(text)}, folder / "previous"); },
        {"cannot write " + folder.path("file"), "2.5 MB", "1.2 MB free"}));
  }
  EXPECT_EQ(read_text_file(folder / "file"), "old");
  EXPECT_EQ(folder.list(), Names{"file"});
  const FileSystemOverride override(enough);
  write_file_atomically(folder / "file", text);
  EXPECT_TRUE(read_text_file(folder / "file") == text);
}

TEST(LinkFileAtomically, IsTheSameFileWhereThereAreLinksAndACopyElsewhere) {
  for (const bool has_links : {true, false}) {
    const TempFolder folder;
    write_file_atomically(folder / "from", "new");
    write_file_atomically(folder / "file", "old");
    test::LimitedFileSystem files(1000, has_links);
    const FileSystemOverride override(files);
    link_file_atomically(folder / "from", folder / "file", folder / "previous");
    EXPECT_EQ(read_text_file(folder / "file"), "new");
    EXPECT_EQ(read_text_file(folder / "previous"), "old");
    EXPECT_EQ(folder.list(), (Names{"file", "from", "previous"}));
    EXPECT_EQ(std::filesystem::equivalent(folder / "from", folder / "file"), has_links);
    // Replacing one leaves the other.
    write_file_atomically(folder / "from", "newest");
    EXPECT_EQ(read_text_file(folder / "file"), "new");
  }
}

TEST(LinkFileAtomically, ALinkNeedsNoSpaceAndACopyDoes) {
  const TempFolder folder;
  write_file_atomically(folder / "from", "12345678");
  test::LimitedFileSystem with_links(7), without(7, false);
  {
    const FileSystemOverride override(with_links);
    link_file_atomically(folder / "from", folder / "file");
  }
  const FileSystemOverride override(without);
  EXPECT_TRUE(throws<IoError>([&] { link_file_atomically(folder / "from", folder / "other"); },
                              {folder.path("other"), "free"}));
  EXPECT_EQ(folder.list(), (Names{"file", "from"}));
}

TEST(FreeBytes, AreThoseOfTheFolderThatWillHoldIt) {
  const TempFolder folder;
  const std::optional<std::int64_t> here = free_bytes(folder.path());
  ASSERT_TRUE(here.has_value());
  EXPECT_GT(*here, 0);
  EXPECT_TRUE(free_bytes(folder / "not/there/yet").has_value());
  test::LimitedFileSystem files(12345);
  const FileSystemOverride override(files);
  EXPECT_EQ(free_bytes(folder / "not/there/yet"), 12345);
}

TEST(BytesText, ChoosesItsUnit) {
  EXPECT_EQ(bytes_text(0), "0.0 KB");
  EXPECT_EQ(bytes_text(41'234'567), "41.2 MB");
  EXPECT_EQ(bytes_text(2'000'000'000), "2.0 GB");
}

TEST(RemoveTemporaryFiles, TakesWhatAKilledWriterLeft) {
  const TempFolder folder;
  write_file_atomically(folder / "file", "text");
  std::ofstream(folder / "file.msd-tmp4711") << "half";
  remove_temporary_files(folder.path());
  EXPECT_EQ(folder.list(), Names{"file"});
  EXPECT_TRUE(throws<IoError>([&] { remove_temporary_files(folder / "none"); }, {"none"}));
}

TEST(AppendLine, AddsToTheEnd) {
  const TempFolder folder;
  append_line(folder / "log", "one");
  append_line(folder / "log", "two");
  EXPECT_EQ(read_text_file(folder / "log"), "one\ntwo\n");
}

TEST(MakeFolder, MakesWhatIsMissing) {
  const TempFolder folder;
  make_folder(folder / "a/b/c/");
  make_folder(folder / "a/b");
  EXPECT_TRUE(std::filesystem::is_directory(folder / "a/b/c"));
  append_line(folder / "file", "in the way");
  EXPECT_TRUE(throws<IoError>([&] { make_folder(folder / "file/below"); }, {"file"}));
}

TEST(FileLock, HasOneHolder) {
  const TempFolder folder;
  {
    const FileLock lock(folder / "lock");
    EXPECT_TRUE(throws<IoError>([&] { const FileLock second(folder / "lock"); },
                                {"lock", "another process"}));
  }
  const FileLock again(folder / "lock");
}

TEST(FileBytes, ReadsAPipeThatCanBeOpenedOnce) {
  const TempFolder folder;
  const std::string path = folder.path("pipe");
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const std::string text(200'000, 'p');
  std::thread writer([&] { std::ofstream(path) << text; });
  const FileBytes file(path);
  writer.join();
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(file.data()), file.bytes().size()), text);
}

}  // namespace
}  // namespace msd
