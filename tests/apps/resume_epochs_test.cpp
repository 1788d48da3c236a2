// SPDX-License-Identifier: MIT
// --resume with another --epochs: the bits of a run begun with them wherever the rates so far are
// that run's, and a line where they are not.
#include <gtest/gtest.h>

#include <filesystem>

#include "engine/files/file.h"
#include "models/weights/checkpoint.h"
#include "tests/apps/programs.h"

namespace msd::test {
namespace {

const Arguments kRun = kSmallNetwork + Arguments{"--synthetic-train", "20", "--synthetic-test", "8",
                                                 "--batch-size",      "8",  "--seed",           "5",
                                                 "--threads",         "1"};

class ResumeEpochsTest : public testing::Test {
 protected:
  std::string folder(const std::string& run) const { return folder_.path(run); }
  void train(const std::string& run, const Arguments& more) const {
    ASSERT_TRUE(
        succeeds(run_program("msd-train", kRun + Arguments{"--run-dir", folder(run)} + more)));
  }
  ProgramResult resume(const std::string& run, const std::string& epochs) const {
    return run_program("msd-train", {"--run-dir", folder(run), "--resume", "--epochs", epochs});
  }
  std::string content(const std::string& run, const std::string& name) const {
    return read_text_file(folder(run) + "/" + name);
  }
  void expect_same_run(const std::string& a, const std::string& b) const {
    for (const char* name : {"checkpoint-latest.safetensors", "config.json", "split.json"}) {
      EXPECT_TRUE(content(a, name) == content(b, name)) << name;
    }
  }

  const TempFolder folder_;
};

TEST_F(ResumeEpochsTest, LongerAndShorterWithTheSameRatesAreTheSameBits) {
  const std::vector<std::pair<std::string, Arguments>> schedules = {
      {"plain", {"--lr-milestones", "4"}},
      {"warm", {"--lr-milestones", "5", "--warmup-epochs", "1.5"}}};
  for (const auto& [name, schedule] : schedules) {
    SCOPED_TRACE(name);
    train("whole-" + name, schedule + Arguments{"--epochs", "5"});
    train(name, schedule + Arguments{"--epochs", "3"});
    const ProgramResult longer = resume(name, "5");
    ASSERT_TRUE(succeeds(longer));
    EXPECT_EQ(longer.err, "");
    expect_same_run(name, "whole-" + name);
    const auto best = [&](const std::string& run) {
      return read_checkpoint(folder(run) + "/checkpoint-best.safetensors").fingerprint;
    };
    EXPECT_EQ(best(name), best("whole-" + name));
  }
  // The rate falls at epoch 5, from 0, of 6 epochs; at 8 of 10; at 4 of 5.
  train("shares", {"--lr-milestones", "80%", "--epochs", "6", "--keep", "all"});
  train("of-ten", {"--lr-milestones", "80%", "--epochs", "10"});
  const auto back_to = [&](const std::string& run, const std::string& epoch) {
    std::filesystem::copy(folder("shares"), folder(run));
    std::filesystem::copy(folder("shares") + "/checkpoint-epoch-000" + epoch + ".safetensors",
                          folder(run) + "/checkpoint-latest.safetensors",
                          std::filesystem::copy_options::overwrite_existing);
  };
  back_to("longer", "4");
  const ProgramResult longer = resume("longer", "10");
  ASSERT_TRUE(succeeds(longer));
  EXPECT_EQ(longer.err, "");
  expect_same_run("longer", "of-ten");
  train("of-five", {"--lr-milestones", "80%", "--epochs", "5"});
  back_to("shorter", "4");
  ASSERT_TRUE(succeeds(resume("shorter", "5")));
  expect_same_run("shorter", "of-five");
}

TEST_F(ResumeEpochsTest, OtherRatesSoFarAreSaid) {
  for (const Arguments& schedule :
       {Arguments{"--lr-schedule", "cosine"}, Arguments{"--lr-milestones", "50%"}}) {
    const std::string run = "run" + schedule[1];
    train(run, schedule + Arguments{"--epochs", "2"});
    const ProgramResult longer = resume(run, "4");
    ASSERT_TRUE(succeeds(longer));
    EXPECT_NE(longer.err.find("--epochs 4 instead of 2"), std::string::npos) << longer.err;
    EXPECT_EQ(json_lines(content(run, "metrics.jsonl")).size(), 4u);
    // And again later, though the rates of 4 epochs are now what the file says.
    const ProgramResult again = resume(run, "5");
    ASSERT_TRUE(succeeds(again));
    EXPECT_NE(again.err.find("--epochs 5 instead of 4"), std::string::npos) << again.err;
    const nlohmann::json training =
        *read_checkpoint(folder(run) + "/checkpoint-latest.safetensors").training;
    ASSERT_EQ(training.at("earlier_epochs").size(), 2u);
    EXPECT_EQ(training.at("earlier_epochs")[0],
              (nlohmann::json{{"epochs", 2}, {"epoch", 2}, {"step", 0}}));
    EXPECT_EQ(resume(run, "5").err.find("instead of"), std::string::npos);
  }
}

TEST_F(ResumeEpochsTest, NotBeforeWhatIsDone) {
  train("run", {"--epochs", "3"});
  const std::string before = content("run", "checkpoint-latest.safetensors");
  EXPECT_TRUE(fails(resume("run", "2"), 1, {"--epochs 2", "done epoch 3"}));
  const ProgramResult done = resume("run", "3");
  ASSERT_TRUE(succeeds(done));
  EXPECT_NE(done.err.find("all 3 epochs are done"), std::string::npos) << done.err;
  EXPECT_TRUE(content("run", "checkpoint-latest.safetensors") == before);
}

}  // namespace
}  // namespace msd::test
