// SPDX-License-Identifier: MIT
// A run that is killed, runs out of disk, or finds its files damaged: continued, it ends with the
// same bits as one that nothing happened to.
#include <gtest/gtest.h>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "engine/random.h"
#include "tests/apps/train_here.h"
#include "tests/support/failing_file_system.h"

namespace msd::test {
namespace {

namespace fs = std::filesystem;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kKills = 10;  // a start of the program takes ten times as long
#else
constexpr int kKills = 60;
#endif

// 3 epochs of 4 steps; one save in mid-epoch and one at its end.
const Arguments kRun = kSmallNetwork + Arguments{"--synthetic-train",
                                                 "36",
                                                 "--synthetic-test",
                                                 "8",
                                                 "--batch-size",
                                                 "8",
                                                 "--epochs",
                                                 "3",
                                                 "--seed",
                                                 "5",
                                                 "--holdout",
                                                 "4",
                                                 "--save-every",
                                                 "2",
                                                 "--threads",
                                                 "1",
                                                 "--workers",
                                                 "1",
                                                 "--keep",
                                                 "2"};

class RecoveryTest : public testing::Test {
 protected:
  Arguments arguments(const std::string& run, const Arguments& more = {}) const {
    return kRun + Arguments{"--run-dir", run_folder(run).string()} + more;
  }
  Arguments resume(const std::string& run) const {
    return {"--run-dir", run_folder(run).string(),
            "--resume",  "--save-every",
            "2",         "--threads",
            "1",         "--keep",
            "2"};
  }
  fs::path run_folder(const std::string& run) const { return folder_ / run; }
  fs::path latest(const std::string& run) const {
    return run_folder(run) / "checkpoint-latest.safetensors";
  }
  fs::path previous(const std::string& run) const {
    return run_folder(run) / "checkpoint-previous.safetensors";
  }
  bool can_resume(const std::string& run) const {
    return fs::exists(latest(run)) || fs::exists(previous(run));
  }

  /// The end of a run that nothing happened to.
  std::string undisturbed() {
    EXPECT_TRUE(succeeds(run_program("msd-train", arguments("undisturbed"))));
    return read_text_file(latest("undisturbed"));
  }

  /// Every file of the run is whole, there is no other, and the last ends as `expected`.
  void expect_complete(const std::string& run, const std::string& expected) {
    EXPECT_TRUE(read_text_file(latest(run)) == expected) << run;
    EXPECT_NO_THROW(read_checkpoint(run_folder(run) / "checkpoint-best.safetensors"));
    EXPECT_TRUE(read_text_file(run_folder(run) / "checkpoint-epoch-0003.safetensors") == expected);
    EXPECT_NO_THROW(read_checkpoint(run_folder(run) / "checkpoint-epoch-0002.safetensors"));
    EXPECT_FALSE(fs::exists(run_folder(run) / "checkpoint-epoch-0001.safetensors"));
    EXPECT_EQ(json_lines(read_text_file(run_folder(run) / "metrics.jsonl")).size(), 3u);
    for (const auto& entry : fs::directory_iterator(run_folder(run))) {
      EXPECT_EQ(entry.path().filename().string().find("tmp"), std::string::npos) << entry.path();
    }
  }

  const TempFolder folder_;
};

/// Kills the program after `microseconds`; returns whether it was still running.
bool start_and_kill(const Arguments& arguments, std::int64_t microseconds) {
  BackgroundProgram program("msd-train", arguments);
  std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
  return program.end(SIGKILL) == 128 + SIGKILL;
}

TEST_F(RecoveryTest, KilledAtAnyMomentAndResumedIsTheSameBits) {
  const auto start = std::chrono::steady_clock::now();
  const std::string expected = undisturbed();
  const auto whole = std::chrono::duration_cast<std::chrono::microseconds>(
                         std::chrono::steady_clock::now() - start)
                         .count();
  RandomStream random(1, RandomPurpose::test);
  int caught = 0, resumable = 0;
  for (int i = 0; i < kKills; ++i) {
    const std::string run = "killed" + std::to_string(i);
    caught += start_and_kill(arguments(run), random.below(whole)) ? 1 : 0;
    const bool resumed = can_resume(run);
    resumable += resumed ? 1 : 0;
    const ProgramResult result =
        run_program("msd-train", resumed ? resume(run) : arguments(run, {"--overwrite"}));
    ASSERT_TRUE(succeeds(result)) << "kill " << i;
    expect_complete(run, expected);
    if (HasFailure()) return;
    fs::remove_all(run_folder(run));
  }
  // Otherwise this has tested nothing.
  EXPECT_GE(caught, kKills / 2);
  EXPECT_GE(resumable, kKills / 5);
}

TEST_F(RecoveryTest, EveryFileSystemCallMayFail) {
  FailingFileSystem none;
  ASSERT_EQ(train_here(none, arguments("whole")).exit_code, 0);
  const std::string expected = read_text_file(latest("whole"));
  ASSERT_GE(none.calls(), 50);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  const long step = 10;
#else
  const long step = 1;
#endif
  for (long call = 1; call <= none.calls(); call += step) {
    const std::string run = "call" + std::to_string(call);
    FailingFileSystem failing(call);
    const ProgramResult first = train_here(failing, arguments(run));
    SCOPED_TRACE("call " + std::to_string(call) + ", " + failing.failed() + ": " + first.out);
    ASSERT_FALSE(failing.failed().empty());
    if (first.exit_code != 0) {
      EXPECT_EQ(first.exit_code, 1);
      EXPECT_NE(first.out.find("msd-train: "), std::string::npos);
      EXPECT_NE(first.out.find(run), std::string::npos) << "the file is not named";
      FailingFileSystem works;
      const bool resumed = can_resume(run);
      const ProgramResult second =
          train_here(works, resumed ? resume(run) : arguments(run, {"--overwrite"}));
      ASSERT_EQ(second.exit_code, 0) << second.out;
    }
    expect_complete(run, expected);
    if (HasFailure()) return;
    fs::remove_all(run_folder(run));
  }
}

// The same for a run that is continued: reading, moving the damaged file away, saving.
TEST_F(RecoveryTest, EveryFileSystemCallOfAResumeMayFail) {
  FailingFileSystem none;
  ASSERT_EQ(train_here(none, arguments("whole")).exit_code, 0);
  const std::string expected = read_text_file(latest("whole"));
  const auto continued = [&](const std::string& run, FailingFileSystem& files) {
    fs::copy(run_folder("whole"), run_folder(run));
    std::ofstream(latest(run)) << "damaged";
    return train_here(files, resume(run));
  };
  FailingFileSystem count;
  ASSERT_EQ(continued("count", count).exit_code, 0);
  for (long call = 1; call <= count.calls(); ++call) {
    const std::string run = "call" + std::to_string(call);
    FailingFileSystem failing(call);
    const ProgramResult first = continued(run, failing);
    SCOPED_TRACE("call " + std::to_string(call) + ", " + failing.failed() + ": " + first.out);
    if (first.exit_code != 0) {
      EXPECT_NE(first.out.find(run), std::string::npos) << "the file is not named";
      FailingFileSystem works;
      ASSERT_EQ(train_here(works, resume(run)).exit_code, 0);
    }
    expect_complete(run, expected);
    if (HasFailure()) return;
    fs::remove_all(run_folder(run));
  }
}

TEST_F(RecoveryTest, ADamagedLatestFallsBackToThePrevious) {
  const std::string expected = undisturbed();
  for (const char* damage : {"", "truncated", "flipped", "missing"}) {
    SCOPED_TRACE(damage);
    const std::string run = std::string("damage-") + damage;
    fs::copy(run_folder("undisturbed"), run_folder(run));
    std::string content = expected;
    if (*damage == '\0') content.clear();
    if (*damage == 't') content.resize(content.size() / 2);
    if (*damage == 'f') content[content.size() - 5] ^= 4;
    std::ofstream(latest(run), std::ios::binary) << content;
    if (*damage == 'm') fs::remove(latest(run));
    const ProgramResult result = run_program("msd-train", resume(run));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    for (const fs::path& named : {latest(run), previous(run)}) {
      EXPECT_NE(result.err.find(named.string()), std::string::npos) << result.err;
    }
    EXPECT_NE(result.err.find("warning"), std::string::npos) << result.err;
    EXPECT_TRUE(read_text_file(latest(run)) == expected);
    EXPECT_EQ(fs::exists(run_folder(run) / "checkpoint-damaged.safetensors"), *damage != 'm');
  }
}

TEST_F(RecoveryTest, BothDamagedIsAnErrorThatNamesBoth) {
  ASSERT_FALSE(undisturbed().empty());
  std::ofstream(latest("undisturbed")) << "x";
  std::ofstream(previous("undisturbed")) << "y";
  EXPECT_TRUE(fails(run_program("msd-train", resume("undisturbed")), 1,
                    {latest("undisturbed").string(), previous("undisturbed").string()}));
}

TEST_F(RecoveryTest, ASecondTrainerIsKeptOut) {
  ASSERT_FALSE(undisturbed().empty());
  const FileLock lock(run_folder("undisturbed") / "run.lock");
  const std::string before = read_text_file(latest("undisturbed"));
  EXPECT_TRUE(fails(run_program("msd-train", resume("undisturbed")), 1,
                    {"run.lock", "another process", "--run-dir"}));
  EXPECT_TRUE(fails(run_program("msd-train", arguments("undisturbed", {"--overwrite"})), 1,
                    {"run.lock", "another process", "--run-dir"}));
  EXPECT_TRUE(read_text_file(latest("undisturbed")) == before);
}

}  // namespace
}  // namespace msd::test
