// SPDX-License-Identifier: MIT
// Every system call of every function of engine/files/file.h made to fail, one at a time: an
// IoError that names the file, the old content or the new one whole, and no temporary file left
// behind.
#include <gtest/gtest.h>

#include <cerrno>
#include <fstream>
#include <functional>

#include "engine/files/file.h"
#include "kernels/error.h"
#include "tests/support/failing_file_system.h"
#include "tests/support/temp_folder.h"

namespace msd {
namespace {

using test::FailingFileSystem;
using test::TempFolder;

std::vector<std::span<const std::byte>> as_parts(const std::string& text) {
  return {std::as_bytes(std::span(text))};
}

/// Runs prepare and then, with the n-th call failing, action; then check(failed?, call's name). For
/// every n.
void for_every_failure(
    const std::function<void(const TempFolder&)>& prepare,
    const std::function<void(const TempFolder&)>& action,
    const std::function<void(const TempFolder&, bool, const std::string&)>& check) {
  for (long call = 1;; ++call) {
    const TempFolder folder;
    prepare(folder);
    FailingFileSystem failing(call);
    bool failed = false;
    {
      const FileSystemOverride override(failing);
      try {
        action(folder);
      } catch (const IoError& error) {
        failed = true;
        EXPECT_NE(std::string(error.what()).find(folder.path().string()), std::string::npos)
            << error.what();
      }
    }
    if (failing.failed().empty()) {
      EXPECT_GE(call, 2) << "nothing was called";
      return;
    }
    SCOPED_TRACE("call " + std::to_string(call) + ", " + failing.failed());
    check(folder, failed, failing.failed());
  }
}

TEST(FileFailures, WriteFileAtomically) {
  for_every_failure(
      [](const TempFolder& folder) { write_file_atomically(folder / "file", "old"); },
      [](const TempFolder& folder) { write_file_atomically(folder / "file", "newer"); },
      [](const TempFolder& folder, bool failed, const std::string& call) {
        const std::string text = read_text_file(folder / "file");
        EXPECT_TRUE(text == "old" || text == "newer") << text;
        EXPECT_TRUE(failed || text == "newer");
        EXPECT_EQ(folder.list().size(), 1u);
        EXPECT_TRUE(text == "old" || (call != "write" && call != "rename"));
      });
}

TEST(FileFailures, KeepingThePreviousFile) {
  for_every_failure(
      [](const TempFolder& folder) {
        write_file_atomically(folder / "older", "older");
        write_file_atomically(folder / "file", "old");
      },
      [](const TempFolder& folder) {
        write_file_atomically(folder / "file", as_parts("newer"), folder / "older");
      },
      [](const TempFolder& folder, bool failed, const std::string&) {
        const std::string text = read_text_file(folder / "file");
        EXPECT_TRUE(text == "old" || text == "newer") << text;
        EXPECT_TRUE(failed || text == "newer");
        EXPECT_TRUE(text == "old" || read_text_file(folder / "older") == "old");
        EXPECT_LE(folder.list().size(), 2u);
      });
}

TEST(FileFailures, LinkFileAtomically) {
  for_every_failure(
      [](const TempFolder& folder) {
        write_file_atomically(folder / "from", "newer");
        write_file_atomically(folder / "file", "old");
      },
      [](const TempFolder& folder) {
        link_file_atomically(folder / "from", folder / "file", folder / "older");
      },
      [](const TempFolder& folder, bool failed, const std::string& call) {
        const std::string text = read_text_file(folder / "file");
        EXPECT_TRUE(text == "old" || text == "newer") << text;
        EXPECT_TRUE(failed || text == "newer");
        EXPECT_FALSE(failed && call == "link") << "the copy did not take its place";
        EXPECT_TRUE(text == "old" || read_text_file(folder / "older") == "old");
        EXPECT_EQ(read_text_file(folder / "from"), "newer");
        EXPECT_LE(folder.list().size(), 3u);
      });
}

// Without hard links: every call of the copy.
TEST(FileFailures, LinkFileAtomicallyByCopying) {
  class WithoutLinks : public FailingFileSystem {
   public:
    using FailingFileSystem::FailingFileSystem;
    int link(const char*, const char*) override {
      errno = EPERM;
      return -1;
    }
  };
  for (long call = 1;; ++call) {
    const TempFolder folder;
    write_file_atomically(folder / "from", "newer");
    write_file_atomically(folder / "file", "old");
    WithoutLinks failing(call);
    bool failed = false;
    {
      const FileSystemOverride override(failing);
      try {
        link_file_atomically(folder / "from", folder / "file");
      } catch (const IoError&) {
        failed = true;
      }
    }
    const std::string text = read_text_file(folder / "file");
    EXPECT_TRUE(text == "newer" || (failed && text == "old")) << text << ", " << failing.failed();
    EXPECT_EQ(read_text_file(folder / "from"), "newer");
    EXPECT_EQ(folder.list().size(), 2u) << failing.failed();
    if (failing.failed().empty()) {
      EXPECT_GE(call, 8);
      return;
    }
  }
}

TEST(FileFailures, ReadFile) {
  for_every_failure(
      [](const TempFolder& folder) { write_file_atomically(folder / "file", "text"); },
      [](const TempFolder& folder) { EXPECT_EQ(read_text_file(folder / "file"), "text"); },
      [](const TempFolder&, bool failed, const std::string& call) {
        EXPECT_EQ(failed, call != "close");
      });
}

TEST(FileFailures, AppendLine) {
  for_every_failure([](const TempFolder& folder) { append_line(folder / "file", "one"); },
                    [](const TempFolder& folder) { append_line(folder / "file", "two"); },
                    [](const TempFolder& folder, bool failed, const std::string&) {
                      EXPECT_TRUE(failed);
                      EXPECT_TRUE(read_text_file(folder / "file").starts_with("one\n"));
                    });
}

TEST(FileFailures, FoldersAndRemoval) {
  for_every_failure(
      [](const TempFolder& folder) { append_line(folder / "file", "one"); },
      [](const TempFolder& folder) {
        make_folder(folder / "a/b");
        rename_file(folder / "file", folder / "other");
        remove_file(folder / "other");
      },
      [](const TempFolder&, bool failed, const std::string&) { EXPECT_TRUE(failed); });
}

TEST(FileFailures, Lock) {
  for_every_failure([](const TempFolder&) {},
                    [](const TempFolder& folder) { const FileLock lock(folder / "lock"); },
                    [](const TempFolder& folder, bool failed, const std::string& call) {
                      EXPECT_EQ(failed, call != "close");
                      const FileLock lock(folder / "lock");  // nobody has it
                    });
}

}  // namespace
}  // namespace msd
