// SPDX-License-Identifier: MIT
// Options that contradict each other, or of which one would be ignored, are refused together.
#include <gtest/gtest.h>

#include "engine/files/file.h"
#include "tests/apps/option_walk.h"

namespace msd::test {
namespace {

struct Conflict {
  Arguments first, second;  // the message names the option that begins each
};

void expect_refused(const std::string& program, const Arguments& base,
                    const std::vector<Conflict>& conflicts) {
  for (const Conflict& conflict : conflicts) {
    const Arguments both = base + conflict.first + conflict.second;
    EXPECT_TRUE(fails(run_program(program, both), 2, {conflict.first[0], conflict.second[0]}))
        << conflict.first[0] << " " << conflict.second[0];
  }
}

TEST(OptionConflicts, OfTraining) {
  expect_refused("msd-train", {},
                 {{{"--lr-milestones", "50%"}, {"--lr-schedule", "cosine"}},
                  {{"--lr-gamma", "0.2"}, {"--lr-schedule", "cosine"}},
                  {{"--nesterov"}, {"--momentum", "0"}},
                  {{"--holdout", "5"}, {"--split", "s.json"}},
                  {{"--holdout-mode", "last"}, {"--split", "s.json"}},
                  {{"--holdout-seed", "2"}, {"--split", "s.json"}},
                  {{"--holdout-seed", "2"}, {"--holdout-mode", "last"}},
                  {{"--holdout-seed", "2"}, {"--holdout", "0"}},
                  {{"--holdout-mode", "last"}, {"--holdout", "0"}},
                  {{"--data", "cifar"}, {"--dataset", "synthetic"}},
                  {{"--synthetic-train", "9"}, {"--dataset", "cifar10"}},
                  {{"--synthetic-test", "9"}, {"--dataset", "cifar10"}},
                  {{"--synthetic-seed", "9"}, {"--dataset", "cifar100"}},
                  {{"--init", "he-fan-in"}, {"--weights", "w"}},
                  {{"--weights", "w"}, {"--resume"}},
                  {{"--overwrite"}, {"--resume"}},
                  {{"--dry-run"}, {"--resume"}}});
  // Without the momentum that Nesterov's needs, the default gives way.
  EXPECT_TRUE(succeeds(run_program("msd-train", {"--dry-run", "--momentum", "0"})));
  EXPECT_TRUE(
      succeeds(run_program("msd-train", {"--dry-run", "--momentum", "0", "--no-nesterov"})));
  EXPECT_TRUE(fails(
      run_program("msd-train", {"--dry-run", "--no-bottleneck", "--bottleneck-factors", "1-2-4"}),
      1, {"--bottleneck-factors", "--no-bottleneck"}));
}

TEST(OptionConflicts, OfTrainingOnTensors) {
  const Arguments tensors = {"--tensors", "t", "--save-state", "s", "--weights", "w"};
  for (const Arguments& ignored : std::vector<Arguments>{{"--dataset", "synthetic"},
                                                         {"--data", "d"},
                                                         {"--split", "s.json"},
                                                         {"--holdout", "3"},
                                                         {"--holdout-mode", "random"},
                                                         {"--holdout-seed", "3"},
                                                         {"--synthetic-train", "3"},
                                                         {"--synthetic-test", "3"},
                                                         {"--synthetic-seed", "3"},
                                                         {"--resize", "40"},
                                                         {"--crop", "32"},
                                                         {"--interpolation", "bicubic"},
                                                         {"--normalise", "imagenet"},
                                                         {"--workers", "2"},
                                                         {"--epochs", "2"},
                                                         {"--batch-size", "2"},
                                                         {"--drop-last"},
                                                         {"--lr-schedule", "multistep"},
                                                         {"--lr-milestones", "50%"},
                                                         {"--lr-gamma", "0.1"},
                                                         {"--warmup-epochs", "1"},
                                                         {"--init", "he-fan-in"},
                                                         {"--augment", "none"},
                                                         {"--seed", "2"},
                                                         {"--run-dir", "r"},
                                                         {"--save-every", "2"},
                                                         {"--keep", "2"},
                                                         {"--on-save-error", "stop"},
                                                         {"--overwrite"},
                                                         {"--json"},
                                                         {"--dry-run"}}) {
    EXPECT_TRUE(fails(run_program("msd-train", tensors + ignored), 2, {ignored[0]})) << ignored[0];
  }
}

TEST(OptionConflicts, OfEvaluation) {
  expect_refused("msd-eval", {"--weights", "w"},
                 {{{"--fit-part", "train"}, {"--mode", "anytime"}},
                  {{"--thresholds", "t.json"}, {"--mode", "anytime"}},
                  {{"--time-images", "3"}, {"--mode", "budget"}},
                  {{"--split", "s.json"}, {"--part", "test"}},
                  {{"--mean", "0,0,0", "--std", "1,1,1"}, {"--normalise", "imagenet"}},
                  {{"--json"}, {"--format", "csv"}}});
}

TEST(OptionConflicts, OfInference) {
  expect_refused("msd-infer", {"--weights", "w"},
                 {{{"--split", "s.json"}, {"--part", "test"}},
                  {{"--verbose"}, {"--json", "--part", "test"}},
                  {{"--budget", "2M"}, {"--p", "1", "--thresholds", "t.json", "--part", "test"}}});
  const Arguments tensors = {"--weights", "w", "--tensors", "t", "--logits", "l"};
  for (const Arguments& ignored : std::vector<Arguments>{{"--dataset", "synthetic"},
                                                         {"--data", "d"},
                                                         {"--split", "s.json"},
                                                         {"--part", "test"},
                                                         {"--limit", "3"},
                                                         {"--resize", "40"},
                                                         {"--crop", "32"},
                                                         {"--interpolation", "bicubic"},
                                                         {"--normalise", "imagenet"},
                                                         {"--class-names", "c"},
                                                         {"--threshold", "0.5"},
                                                         {"--deadline-ms", "5"},
                                                         {"--all-exits"},
                                                         {"--top", "2"},
                                                         {"--json"},
                                                         {"--verbose"}}) {
    EXPECT_TRUE(fails(run_program("msd-infer", tensors + ignored), 2, {ignored[0], "--tensors"}));
  }
}

TEST(OptionConflicts, ResumingRefusesOtherImagesButNotWhatTheRunStored) {
  const TempFolder folder;
  const Arguments small =
      kSmallNetwork + Arguments{"--epochs",         "1", "--synthetic-train", "30",
                                "--synthetic-test", "4", "--batch-size",      "8",
                                "--holdout",        "4", "--threads",         "1"};
  const auto resumed = [&](const std::string& run, const Arguments& more) {
    const std::string path = (folder / run).string();
    return run_program("msd-train", Arguments{"--run-dir", path, "--resume"} + more);
  };
  const auto trained = [&](const std::string& run, const Arguments& more) {
    const Arguments to = {"--run-dir", (folder / run).string()};
    return run_program("msd-train", small + to + more);
  };
  ASSERT_TRUE(succeeds(trained("random", {"--lr-schedule", "cosine", "--momentum", "0"})));
  EXPECT_TRUE(fails(resumed("random", {"--holdout", "5"}), 1, {"--resume", "split.json"}));
  EXPECT_TRUE(fails(resumed("random", {"--holdout-seed", "2"}), 1, {"--resume", "split.json"}));
  EXPECT_TRUE(succeeds(resumed("random", {"--holdout", "4"})));
  // The stored schedule and momentum are not obeyed less for their neighbours' defaults.
  EXPECT_TRUE(succeeds(resumed("random", {})));
  EXPECT_TRUE(fails(resumed("random", {"--lr-gamma", "0.1"}), 1, {"--lr-gamma", "cosine"}));
  ASSERT_TRUE(succeeds(trained("last", {"--holdout-mode", "last"})));
  EXPECT_TRUE(succeeds(resumed("last", {})));
  EXPECT_TRUE(fails(resumed("last", {"--holdout-seed", "1"}), 1, {"--holdout-seed", "last"}));
}

TEST(OptionConflicts, OfConverting) {
  EXPECT_TRUE(fails(run_program("msd-convert", {"index.pth", "s.json", "--data", "d"}), 2,
                    {"--data", "--dataset"}));
}

TEST(Arguments, WithControlCharactersAreShownOnOneLine) {
  EXPECT_TRUE(fails(run_program("msd-train", {"--no\nsuch"}), 2, {"--no?such"}));
  EXPECT_TRUE(fails(run_program("msd-convert", {"no\r\nfile", "out.pth"}), 1, {"no??file"}));
}

}  // namespace
}  // namespace msd::test
