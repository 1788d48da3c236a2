// SPDX-License-Identifier: MIT
// msd-train as a program: what a run leaves behind, and that its bits depend on nothing but the
// options: not on threads, workers, or where it was interrupted.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/files/file.h"
#include "models/network/cost.h"
#include "tests/apps/programs.h"

namespace msd::test {
namespace {

namespace fs = std::filesystem;

const Arguments kSmallRun =
    kSmallNetwork +
    Arguments{"--synthetic-train", "130", "--synthetic-test", "20", "--batch-size", "16",
              "--epochs",          "3",   "--seed",           "5"};

class TrainTest : public testing::Test {
 protected:
  Arguments arguments(const std::string& run, const Arguments& more = {}) const {
    return kSmallRun + Arguments{"--run-dir", folder(run).string()} + more;
  }
  fs::path folder(const std::string& run) const { return folder_ / run; }
  std::string latest(const std::string& run) const {
    return read_text_file(folder(run) / "checkpoint-latest.safetensors");
  }

  TempFolder folder_;
};

TEST_F(TrainTest, LeavesARunFolder) {
  ASSERT_TRUE(succeeds(run_program("msd-train", arguments("run"))));
  for (const char* name : {"config.json", "metrics.jsonl", "split.json",
                           "checkpoint-latest.safetensors", "checkpoint-best.safetensors"}) {
    EXPECT_TRUE(fs::exists(folder("run") / name)) << name;
  }
  const std::vector<nlohmann::json> epochs =
      json_lines(read_text_file(folder("run") / "metrics.jsonl"));
  ASSERT_EQ(epochs.size(), 3u);
  for (std::size_t i = 0; i < epochs.size(); ++i) {
    EXPECT_EQ(epochs[i].at("epoch"), i + 1);
    EXPECT_EQ(epochs[i].at("train").at("samples"), 117);
    EXPECT_EQ(epochs[i].at("holdout").at("samples"), 13);
    EXPECT_EQ(epochs[i].at("test").at("samples"), 20);
    for (const char* figure : {"losses", "top1", "top5", "ensemble_top1", "ensemble_top5"}) {
      EXPECT_EQ(epochs[i].at("test").at(figure).size(), 2u) << figure;
    }
  }
  // 50 % and 75 % of 3 epochs: tenths from the epochs (from 0) >= 1.5 and >= 2.25.
  EXPECT_DOUBLE_EQ(epochs[0].at("lr"), 0.1);
  EXPECT_DOUBLE_EQ(epochs[1].at("lr"), 0.1);
  EXPECT_NEAR(epochs[2].at("lr").get<double>(), 0.01, 1e-15);
}

TEST_F(TrainTest, SameSeedSameBitsWhateverTheThreadsAndWorkers) {
  ASSERT_TRUE(
      succeeds(run_program("msd-train", arguments("a", {"--threads", "1", "--workers", "1"}))));
  const std::string expected = latest("a");
  const std::vector<Arguments> variants = {{"--threads", "1", "--workers", "1"},
                                           {"--threads", "2", "--workers", "0"},
                                           {"--threads", "3", "--workers", "2"},
                                           {"--threads", "1", "--workers", "5"}};
  for (std::size_t i = 0; i < variants.size(); ++i) {
    const std::string run = "b" + std::to_string(i);
    ASSERT_TRUE(succeeds(run_program("msd-train", arguments(run, variants[i]))));
    EXPECT_TRUE(latest(run) == expected) << "variant " << i;
  }
  Arguments other = arguments("c");
  other.insert(other.end(), {"--holdout-seed", "2"});
  ASSERT_TRUE(succeeds(run_program("msd-train", other)));
  EXPECT_FALSE(latest("c") == expected);
}

TEST_F(TrainTest, InterruptedAndResumedIsTheSameBits) {
  ASSERT_TRUE(succeeds(run_program("msd-train", arguments("whole", {"--epochs", "12"}))));
  const std::string expected = latest("whole");
  int interrupted = 0;
  for (int i = 0; i < 4; ++i) {
    const std::string run = "cut" + std::to_string(i);
    const int code =
        train_and_interrupt(arguments(run, {"--epochs", "12"}), folder(run), 40 + 70 * i);
    // 130: saved and stopped; 143: came before the handler was there; 0: was done already.
    if (code == 130) ++interrupted;
    if (code == 143) continue;
    ASSERT_TRUE(code == 130 || code == 0) << code;
    if (code == 130) {
      ASSERT_TRUE(
          succeeds(run_program("msd-train", {"--run-dir", folder(run).string(), "--resume"})));
    }
    EXPECT_TRUE(latest(run) == expected) << "interrupted after " << 40 + 70 * i << " ms";
    const auto metrics = json_lines(read_text_file(folder(run) / "metrics.jsonl"));
    const auto whole = json_lines(read_text_file(folder("whole") / "metrics.jsonl"));
    ASSERT_EQ(metrics.size(), whole.size());
    for (std::size_t e = 0; e < whole.size(); ++e) {
      EXPECT_EQ(metrics[e].at("train"), whole[e].at("train"));
      EXPECT_EQ(metrics[e].at("test"), whole[e].at("test"));
    }
  }
  EXPECT_GE(interrupted, 1) << "no run was caught in the middle";
}

TEST_F(TrainTest, ResumeRefusesOtherOptions) {
  ASSERT_TRUE(succeeds(run_program("msd-train", arguments("run"))));
  EXPECT_TRUE(fails(run_program("msd-train", arguments("run", {"--resume", "--lr", "0.2"})), 1,
                    {"--resume", "options/lr"}));
  EXPECT_TRUE(fails(run_program("msd-train", arguments("run", {"--resume", "--reduction", "0.7"})),
                    1, {"--resume", "model/reduction"}));
  // The same options again are no contradiction.
  EXPECT_TRUE(succeeds(run_program("msd-train", arguments("run", {"--resume"}))));
  EXPECT_TRUE(
      fails(run_program("msd-train", arguments("none", {"--resume"})), 1, {"--resume", "none"}));
}

TEST_F(TrainTest, AnExistingRunIsNotOverwrittenUnasked) {
  ASSERT_TRUE(succeeds(run_program("msd-train", arguments("run"))));
  const std::string before = latest("run");
  EXPECT_TRUE(
      fails(run_program("msd-train", arguments("run", {"--lr", "0.05"})), 1, {"--overwrite"}));
  EXPECT_TRUE(latest("run") == before);
  ASSERT_TRUE(
      succeeds(run_program("msd-train", arguments("run", {"--lr", "0.05", "--overwrite"}))));
  EXPECT_FALSE(latest("run") == before);
}

TEST_F(TrainTest, DryRunPrintsTheCostModel) {
  const ProgramResult result =
      run_program("msd-train", {"--preset", "cifar100-batch5", "--dry-run", "--json"});
  ASSERT_TRUE(succeeds(result));
  const nlohmann::json json = json_lines(result.out).at(0);
  EXPECT_EQ(json.at("params"), 2078924);  // DESIGN 3, net D
  EXPECT_EQ(json.at("exits").at(4).at("ops"), 58480628);
  EXPECT_EQ(json.at("exits").at(4).at("mul_adds"), 58087936);
  EXPECT_EQ(json.at("exits").at(0).at("mul_adds_lazy"), 5917184);
  EXPECT_EQ(json.at("exits").at(4).at("params"), 2078924);
}

// The floors published for such a device: see tests/models/network/floor_test.cpp.
TEST_F(TrainTest, DryRunPrintsFloors) {
  const ProgramResult result = run_program(
      "msd-train", {"--preset", "cifar10-anytime10", "--dry-run", "--json", "--batch-size", "64",
                    "--precision", "bf16", "--bandwidth", "4.3T", "--matrix-rate", "790T"});
  ASSERT_TRUE(succeeds(result));
  const nlohmann::json json = json_lines(result.out).at(0);
  EXPECT_EQ(json.at("training_step").at("batch"), 64);
  EXPECT_NEAR(json.at("training_step").at("floor_ms").get<double>(), 0.42, 0.05 * 0.42);
  EXPECT_EQ(json.at("stages").size(), 10u);
  EXPECT_TRUE(fails(run_program("msd-train", {"--dry-run", "--bandwidth", "4T"}), 2,
                    {"--bandwidth", "--matrix-rate"}));
}

TEST_F(TrainTest, WrongUsageExitsWithTwo) {
  EXPECT_TRUE(fails(run_program("msd-train", {"--epoch", "3"}), 2, {"--epoch", "--epochs"}));
  EXPECT_TRUE(fails(run_program("msd-train", {"--prune", "mid"}), 2, {"--prune"}));
  EXPECT_TRUE(fails(run_program("msd-train", {"--batch-size", "many"}), 2, {"--batch-size"}));
  EXPECT_TRUE(fails(run_program("msd-train", {"--resume", "--overwrite"}), 2, {"--overwrite"}));
}

TEST_F(TrainTest, WhatCannotWorkFailsInOneLine) {
  const auto with = [&](const Arguments& more) {
    return run_program("msd-train", arguments("bad", more));
  };
  EXPECT_TRUE(fails(with({"--blocks", "0"}), 1, {"--blocks"}));
  EXPECT_TRUE(fails(with({"--growth-rate", "3", "--growth-factors", "1-1-1"}), 1,
                    {"--growth-rate", "odd"}));
  EXPECT_TRUE(fails(with({"--exit-weights", "1,1,1"}), 1, {"--exit-weights", "2 exits"}));
  EXPECT_TRUE(fails(with({"--holdout", "130"}), 1, {"--holdout"}));
  EXPECT_TRUE(fails(with({"--classes", "7"}), 1, {"7 classes"}));
  EXPECT_TRUE(fails(with({"--image-size", "16"}), 1, {"--image-size"}));
  EXPECT_TRUE(fails(run_program("msd-train", {"--dataset", "cifar10"}), 1, {"--data"}));
  EXPECT_TRUE(fails(with({"--device", "cuda"}), 1, {"--device cuda"}));
  // 117 images in fours, of a network that ends in maps of 1x1.
  EXPECT_TRUE(fails(with({"--input-kind", "imagenet", "--batch-size", "4"}), 1,
                    {"117 training images", "--batch-size 4", "1 for the last", "--drop-last"}));
  EXPECT_TRUE(
      fails(with({"--input-kind", "imagenet", "--batch-size", "1"}), 1, {"--batch-size 1"}));
  EXPECT_TRUE(fails(with({"--preset", "vgg"}), 1, {"vgg", "cifar10-tiny"}));
  EXPECT_TRUE(fails(with({"--drop-last", "--batch-size", "118"}), 1,
                    {"117 images", "--batch-size 118", "--drop-last"}));
  EXPECT_FALSE(fs::exists(folder("bad")));
  ProgramResult diverged = with({"--lr", "1e30", "--json"});
  diverged.out.clear();  // the network
  EXPECT_TRUE(fails(diverged, 1, {"loss", "step"}));
}

}  // namespace
}  // namespace msd::test
