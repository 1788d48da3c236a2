// SPDX-License-Identifier: MIT
// What stands at the path decides how it is written: files and free names are replaced, links are
// followed, all else is written into. Devices are made in a folder of the test's, so that a failure
// costs the machine nothing.
#include "engine/files/write_target.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <future>
#include <string>

#include "engine/files/file.h"
#include "engine/files/file_system.h"
#include "tests/support/errors.h"
#include "tests/support/temp_folder.h"

namespace msd {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;
using test::TempFolder;
using test::throws;

mode_t type_of(const fs::path& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 ? status.st_mode & S_IFMT : 0;
}

ino_t inode_of(const fs::path& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? status.st_ino : 0;
}

std::string make_fifo(const TempFolder& folder) {
  const std::string path = folder.path("fifo");
  if (::mkfifo(path.c_str(), 0600) != 0) throw std::runtime_error("mkfifo");
  return path;
}

TEST(WriteTarget, ALinksTargetIsReplacedAndTheLinkStays) {
  const TempFolder folder;
  make_folder(folder / "far");
  write_file_atomically(folder / "far/file", "old");
  const ino_t old = inode_of(folder / "far/file");
  fs::create_symlink("far/second", folder / "first");
  fs::create_symlink("file", folder / "far/second");
  write_file_atomically(folder / "first", "new");
  EXPECT_EQ(read_text_file(folder / "far/file"), "new");
  EXPECT_NE(inode_of(folder / "far/file"), old) << "it was not replaced but written in place";
  EXPECT_EQ(type_of(folder / "first"), mode_t{S_IFLNK});
  EXPECT_EQ(type_of(folder / "far/second"), mode_t{S_IFLNK});
  write_file_atomically(folder / "from", "linked");
  link_file_atomically(folder / "from", folder / "first");
  EXPECT_EQ(read_text_file(folder / "far/file"), "linked");
  EXPECT_EQ(folder.list(), (Names{"far", "first", "from"}));
}

TEST(WriteTarget, ALinkToNothingYetGetsItsTarget) {
  const TempFolder folder;
  make_folder(folder / "far");
  fs::create_symlink(folder / "far/new", folder / "link");
  write_file_atomically(folder / "link", "text");
  EXPECT_EQ(read_text_file(folder / "far/new"), "text");
  EXPECT_EQ(type_of(folder / "link"), mode_t{S_IFLNK});
}

TEST(WriteTarget, RefusesFoldersAndLoops) {
  const TempFolder folder;
  make_folder(folder / "sub");
  fs::create_symlink("sub", folder / "to-folder");
  fs::create_symlink("b", folder / "a");
  fs::create_symlink("a", folder / "b");
  for (const char* name : {"sub", "sub/", "to-folder", "a", "free/"}) {
    EXPECT_TRUE(throws<IoError>([&] { write_file_atomically(folder / name, "x"); },
                                {"cannot write " + folder.path(name)}));
  }
  EXPECT_EQ(folder.list(), (Names{"a", "b", "sub", "to-folder"}));
}

TEST(WriteTarget, AReadOnlyFileStays) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may change every file";
  const TempFolder folder;
  write_file_atomically(folder / "protected", "old");
  fs::permissions(folder / "protected", fs::perms::owner_read);
  EXPECT_TRUE(
      throws<IoError>([&] { write_file_atomically(folder / "protected", "x"); }, {"protected"}));
  EXPECT_EQ(read_text_file(folder / "protected"), "old");
}

TEST(WriteTarget, APipesReaderGetsAllBytes) {
  const TempFolder folder;
  const std::string fifo = make_fifo(folder);
  const std::string text(3'000'000, 'p');
  for (const bool link : {false, true}) {
    auto read = std::async(std::launch::async, [&] { return read_text_file(fifo); });
    if (link) {
      write_file_atomically(folder / "from", text);
      link_file_atomically(folder / "from", fifo);
    } else {
      write_file_atomically(fifo, text);
    }
    EXPECT_TRUE(read.get() == text);
    EXPECT_EQ(type_of(fifo), mode_t{S_IFIFO});
  }
}

TEST(WriteTarget, AReaderThatLeavesIsAnErrorAndEndsNothing) {
  const TempFolder folder;
  const std::string fifo = make_fifo(folder);
  auto read = std::async(std::launch::async, [&] {
    const int fd = ::open(fifo.c_str(), O_RDONLY);
    char byte = 0;
    const ssize_t got = ::read(fd, &byte, 1);
    ::close(fd);
    return got;
  });
  EXPECT_TRUE(throws<IoError>([&] { write_file_atomically(fifo, std::string(3'000'000, 'p')); },
                              {fifo, "reader has gone"}));
  EXPECT_EQ(read.get(), 1);
  EXPECT_EQ(type_of(fifo), mode_t{S_IFIFO});
  EXPECT_EQ(folder.list(), Names{"fifo"});
}

// /dev/null is 1:3 and /dev/full 1:7.
TEST(WriteTarget, DevicesAreWrittenIntoAndStay) {
  const TempFolder folder;
  const std::string null = folder.path("null"), full = folder.path("full");
  const auto make = [](const std::string& path, unsigned minor) {
    if (::mknod(path.c_str(), S_IFCHR | 0666, makedev(1, minor)) != 0) return false;
    const int fd = ::open(path.c_str(), O_WRONLY);
    if (fd >= 0) ::close(fd);
    return fd >= 0;
  };
  if (!make(null, 3) || !make(full, 7)) GTEST_SKIP() << "devices can't be made or opened here";
  write_file_atomically(null, "text");
  EXPECT_EQ(type_of(null), mode_t{S_IFCHR});
  fs::create_symlink("null", folder / "link");
  write_file_atomically(folder / "link", "text");
  append_line(folder / "link", "text");
  EXPECT_TRUE(throws<IoError>([&] { write_file_atomically(full, "text"); }, {full}));
  EXPECT_EQ(type_of(null), mode_t{S_IFCHR});
  EXPECT_EQ(type_of(full), mode_t{S_IFCHR});
  EXPECT_EQ(folder.list(), (Names{"full", "link", "null"}));
}

// As after `program > file`: what is printed before and after must not be lost.
TEST(WriteTarget, AnOpenDescriptorIsWrittenWhereItStands) {
  const TempFolder folder;
  const int fd = ::open(folder.path("out").c_str(), O_RDWR | O_CREAT, 0600);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(::write(fd, "before ", 7), 7);
  const ino_t inode = inode_of(folder / "out");
  for (const char* place : {"/dev/fd/", "/proc/self/fd/"}) {
    write_file_atomically(place + std::to_string(fd), "text ");
  }
  ASSERT_EQ(::write(fd, "after", 5), 5);
  ::close(fd);
  EXPECT_EQ(read_text_file(folder / "out"), "before text text after");
  EXPECT_EQ(inode_of(folder / "out"), inode);
  EXPECT_THROW(write_file_atomically("/dev/fd/" + std::to_string(fd), "text"), IoError);
}

TEST(WriteTarget, ModeStays) {
  const TempFolder folder;
  write_file_atomically(folder / "file", "old");
  fs::permissions(folder / "file", fs::perms{0640});
  write_file_atomically(folder / "file", "new");
  EXPECT_EQ(fs::status(folder / "file").permissions(), fs::perms{0640});
}

TEST(WriteTarget, ANameMayBeAsLongAsTheFileSystemTakes) {
  const TempFolder folder;
  const std::string name(255, 'n');
  write_file_atomically(folder / name, "text");
  write_file_atomically(folder / name, "again");
  EXPECT_EQ(read_text_file(folder / name), "again");
  EXPECT_EQ(folder.list(), Names{name});
}

/// Renaming from a name that ends so fails.
class FailingRename : public FileSystem {
 public:
  FailingRename(std::string from, int error) : from_(std::move(from)), error_(error) {}
  int rename(const char* from, const char* to) override {
    if (!std::string(from).ends_with(from_)) return FileSystem::rename(from, to);
    errno = error_;
    return -1;
  }

 private:
  std::string from_;
  int error_;
};

// A container may mount a single file: its name stays, its content is replaced.
TEST(WriteTarget, AMountedFileIsWrittenInPlace) {
  const TempFolder folder;
  write_file_atomically(folder / "file", "old and longer");
  const ino_t inode = inode_of(folder / "file");
  FailingRename mounted(".msd-tmp" + std::to_string(::getpid()), EBUSY);
  const FileSystemOverride override(mounted);
  write_file_atomically(folder / "file", "new");
  EXPECT_EQ(read_text_file(folder / "file"), "new");
  EXPECT_EQ(inode_of(folder / "file"), inode);
  EXPECT_EQ(folder.list(), Names{"file"});
}

// A run's latest checkpoint may be a link to another disk.
TEST(WriteTarget, ThePreviousFileMayLieOnAnotherFileSystem) {
  const TempFolder folder, other;
  write_file_atomically(other / "far", "old");
  fs::create_symlink(other / "far", folder / "file");
  FailingRename far("far", EXDEV);
  const FileSystemOverride override(far);
  const std::string text = "new";
  write_file_atomically(folder / "file", {std::as_bytes(std::span(text))}, folder / "previous");
  EXPECT_EQ(read_text_file(other / "far"), "new");
  EXPECT_EQ(read_text_file(folder / "previous"), "old");
  EXPECT_EQ(type_of(folder / "file"), mode_t{S_IFLNK});
}

TEST(WriteTarget, IsCheckedBeforeTheWork) {
  const TempFolder folder;
  EXPECT_NO_THROW(require_writable(folder / "free"));
  EXPECT_NO_THROW(require_writable(make_fifo(folder)));  // without waiting for a reader
  EXPECT_TRUE(throws<IoError>([&] { require_writable(folder / "no/file"); },
                              {folder.path("no/file"), "no folder"}));
  EXPECT_TRUE(throws<IoError>([&] { require_writable(folder.path()); }, {"folder"}));
  EXPECT_EQ(folder.list(), Names{"fifo"});
}

}  // namespace
}  // namespace msd
