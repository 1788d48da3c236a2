// SPDX-License-Identifier: MIT
// Which checkpoints a run keeps, and what it does when they cannot be written.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "engine/files/file.h"
#include "tests/apps/train_here.h"
#include "tests/support/failing_file_system.h"
#include "tests/support/limited_file_system.h"

namespace msd::test {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

const Arguments kRun =
    kSmallNetwork +
    Arguments{"--synthetic-train", "20", "--synthetic-test", "8", "--batch-size", "8",
              "--epochs",          "5",  "--seed",           "5", "--holdout",    "4",
              "--threads",         "1",  "--workers",        "1"};

class KeepTest : public testing::Test {
 protected:
  ProgramResult train(FileSystem& files, const std::string& run, const Arguments& more) {
    return train_here(files, kRun + Arguments{"--run-dir", run_folder(run).string()} + more);
  }
  ProgramResult train(const std::string& run, const Arguments& more) {
    FileSystem works;
    return train(works, run, more);
  }
  fs::path run_folder(const std::string& run) const { return folder_ / run; }
  fs::path checkpoint(const std::string& run, const std::string& name) const {
    return run_folder(run) / ("checkpoint-" + name + ".safetensors");
  }
  std::string content(const std::string& run, const std::string& name) const {
    return read_text_file(checkpoint(run, name));
  }
  Names epochs(const std::string& run) const {
    Names found;
    for (const auto& entry : fs::directory_iterator(run_folder(run))) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with("checkpoint-epoch-"))
        found.push_back(name.substr(17, name.find('.') - 17));
    }
    std::sort(found.begin(), found.end());
    return found;
  }
  // The lines of metrics.jsonl without what time decides.
  std::string metrics(const std::string& run) const {
    std::string text;
    for (nlohmann::json line : json_lines(read_text_file(run_folder(run) / "metrics.jsonl"))) {
      for (const char* timed : {"seconds", "images_per_second", "data_wait_share"})
        line.erase(timed);
      text += line.dump() + "\n";
    }
    return text;
  }
  void expect_same_end(const std::string& run, const std::string& expected) const {
    EXPECT_EQ(metrics(run), metrics(expected));
    EXPECT_EQ(read_checkpoint(checkpoint(run, "latest")).fingerprint,
              read_checkpoint(checkpoint(expected, "latest")).fingerprint);
    EXPECT_NO_THROW(read_checkpoint(checkpoint(run, "best")));
  }

  const TempFolder folder_;
};

/// Remembers what each latest checkpoint held.
class LatestLog : public FileSystem {
 public:
  int rename(const char* from, const char* to) override {
    if (std::string(to).ends_with("checkpoint-latest.safetensors")) {
      contents_.push_back(read_text_file(from));
    }
    return FileSystem::rename(from, to);
  }
  const std::vector<std::string>& contents() const { return contents_; }

 private:
  std::vector<std::string> contents_;
};

TEST_F(KeepTest, KeepsTheLastEpochsAsTheLatestWas) {
  LatestLog log;
  ASSERT_EQ(train(log, "all", {"--keep", "all"}).exit_code, 0);
  ASSERT_EQ(log.contents().size(), 5u);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_TRUE(content("all", "epoch-000" + std::to_string(i + 1)) == log.contents()[i]) << i;
  }
  EXPECT_TRUE(fs::equivalent(checkpoint("all", "latest"), checkpoint("all", "epoch-0005")));
  EXPECT_TRUE(fs::equivalent(checkpoint("all", "previous"), checkpoint("all", "epoch-0004")));
  const std::vector<std::pair<std::string, Names>> sets = {
      {"0", {}},
      {"1", {"0005"}},
      {"3", {"0003", "0004", "0005"}},
      {"9", {"0001", "0002", "0003", "0004", "0005"}}};
  for (const auto& [keep, expected] : sets) {
    ASSERT_EQ(train(keep, {"--keep", keep}).exit_code, 0);
    EXPECT_EQ(epochs(keep), expected);
    EXPECT_TRUE(content(keep, "latest") == log.contents()[4]);
    EXPECT_TRUE(content(keep, "best") == content("all", "best"));
  }
  for (const char* wrong : {"-1", "some", "", "2x"}) {
    EXPECT_EQ(train("wrong", {"--keep", wrong}).exit_code, 2) << wrong;
  }
}

TEST_F(KeepTest, TheSameWithoutHardLinks) {
  LimitedFileSystem without(std::int64_t{1} << 40, /*has_links=*/false);
  ASSERT_EQ(train(without, "copied", {"--keep", "2"}).exit_code, 0);
  ASSERT_EQ(train("linked", {"--keep", "2"}).exit_code, 0);
  EXPECT_EQ(epochs("copied"), (Names{"0004", "0005"}));
  for (const char* name : {"latest", "previous", "best", "epoch-0004", "epoch-0005"}) {
    EXPECT_TRUE(content("copied", name) == content("linked", name)) << name;
  }
  EXPECT_FALSE(fs::equivalent(checkpoint("copied", "latest"), checkpoint("copied", "epoch-0005")));
}

TEST_F(KeepTest, AResumedRunKeepsTheSame) {
  ASSERT_EQ(train("whole", {"--keep", "all"}).exit_code, 0);
  const auto back_to_epoch_2 = [&](const std::string& run) {
    fs::copy(run_folder("whole"), run_folder(run));
    fs::copy(checkpoint(run, "epoch-0002"), checkpoint(run, "latest"),
             fs::copy_options::overwrite_existing);
    fs::copy(checkpoint(run, "epoch-0002"), checkpoint(run, "epoch-0009"));
  };
  back_to_epoch_2("three");
  ASSERT_EQ(train("three", {"--resume", "--keep", "3"}).exit_code, 0);
  EXPECT_EQ(epochs("three"), (Names{"0003", "0004", "0005"}));
  for (const std::string& epoch : epochs("three")) {
    EXPECT_TRUE(content("three", "epoch-" + epoch) == content("whole", "epoch-" + epoch));
  }
  expect_same_end("three", "whole");
  // Epochs that are not of the run any more go; without --keep no other does.
  back_to_epoch_2("none");
  ASSERT_EQ(train("none", {"--resume"}).exit_code, 0);
  EXPECT_EQ(epochs("none"), (Names{"0001", "0002"}));
}

TEST_F(KeepTest, OverwritingRemovesThem) {
  ASSERT_EQ(train("run", {"--keep", "all"}).exit_code, 0);
  for (const char* name : {"latest", "previous", "best"}) fs::remove(checkpoint("run", name));
  EXPECT_EQ(train("run", {"--epochs", "2"}).exit_code, 1);
  EXPECT_EQ(epochs("run").size(), 5u);
  ASSERT_EQ(train("run", {"--epochs", "2", "--keep", "1", "--overwrite"}).exit_code, 0);
  EXPECT_EQ(epochs("run"), Names{"0002"});
}

TEST_F(KeepTest, GoesOnWhicheverCallOfASaveFails) {
  FailingFileSystem none;
  const Arguments more = {"--keep", "2", "--on-save-error", "continue", "--epochs", "2"};
  ASSERT_EQ(train(none, "whole", more).exit_code, 0);
  int warned = 0;
  for (long call = 1; call <= none.calls(); ++call) {
    const std::string run = "call" + std::to_string(call);
    FailingFileSystem failing(call);
    const ProgramResult result = train(failing, run, more);
    SCOPED_TRACE("call " + std::to_string(call) + ", " + failing.failed() + ": " + result.out);
    if (result.out.find("trying") != std::string::npos) {
      ++warned;
      EXPECT_NE(result.out.find("msd-train: warning: "), std::string::npos);
      EXPECT_EQ(result.exit_code, 0);
    } else if (result.exit_code != 0) {
      EXPECT_EQ(warned, 0) << "only before the first step";
    }
    if (result.exit_code == 0) expect_same_end(run, "whole");
    if (HasFailure()) return;
    fs::remove_all(run_folder(run));
  }
  EXPECT_GE(warned, 15);
}

/// Free space for the first `good` looks at it, none for the next `bad`.
class FullForAWhile : public LimitedFileSystem {
 public:
  FullForAWhile(int good, int bad) : LimitedFileSystem(0), good_(good), bad_(bad) {}
  int statvfs(const char* path, struct ::statvfs* result) override {
    ++looks_;
    if (looks_ > good_ && looks_ <= good_ + bad_) return LimitedFileSystem::statvfs(path, result);
    return FileSystem::statvfs(path, result);
  }
  int looks() const { return looks_; }

 private:
  int good_, bad_, looks_ = 0;
};

TEST_F(KeepTest, ADiskFullForAWhileOrToTheEnd) {
  FullForAWhile never(1 << 20, 0);
  ASSERT_EQ(train(never, "whole", {"--keep", "2"}).exit_code, 0);
  const int start = never.looks() - 5;  // one look a saved epoch: the others are links
  FullForAWhile two(start + 1, 2), rest(start + 2, 1 << 20), stopping(start + 2, 1 << 20);
  const ProgramResult back = train(two, "back", {"--keep", "2", "--on-save-error", "continue"});
  ASSERT_EQ(back.exit_code, 0) << back.out;
  EXPECT_NE(back.out.find("free on its file system"), std::string::npos) << back.out;
  expect_same_end("back", "whole");

  for (const bool goes_on : {true, false}) {
    const std::string run = goes_on ? "end" : "stopped";
    const ProgramResult full =
        train(goes_on ? rest : stopping, run,
              {"--keep", "2", "--on-save-error", goes_on ? "continue" : "stop"});
    EXPECT_EQ(full.exit_code, 1);
    EXPECT_EQ(full.out.find("the end of the run is not saved") != std::string::npos, goes_on);
    EXPECT_TRUE(content(run, "latest") == content(run, "epoch-0002")) << "it is harmed";
    EXPECT_EQ(epochs(run), (Names{"0001", "0002"}));
    ASSERT_EQ(train(run, {"--resume", "--keep", "2"}).exit_code, 0);
    expect_same_end(run, "whole");
    EXPECT_TRUE(content(run, "latest") == content("whole", "latest"));
  }
}

TEST_F(KeepTest, LooksAtTheSpaceBeforeItBegins) {
  ASSERT_EQ(train("whole", {}).exit_code, 0);
  const auto size = static_cast<std::int64_t>(fs::file_size(checkpoint("whole", "latest")));
  LimitedFileSystem little(size), some(3 * size), much(100 * size);
  const ProgramResult refused = train(little, "little", {});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.out.find("--run-dir"), std::string::npos) << refused.out;
  EXPECT_FALSE(fs::exists(run_folder("little")));
  const ProgramResult warned = train(some, "some", {"--keep", "3"});
  EXPECT_EQ(warned.exit_code, 0) << warned.out;
  EXPECT_NE(warned.out.find("warning: this run's checkpoints may take"), std::string::npos);
  EXPECT_NE(warned.out.find("--keep"), std::string::npos);
  const ProgramResult silent = train(much, "much", {"--keep", "all"});
  EXPECT_EQ(silent.out.find("warning"), std::string::npos) << silent.out;
  // What lies there already is no longer needed beside it.
  EXPECT_EQ(train(some, "much", {"--resume"}).out.find("warning"), std::string::npos);
}

}  // namespace
}  // namespace msd::test
