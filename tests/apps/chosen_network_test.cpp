// SPDX-License-Identifier: MIT
// Which network a command line is for, and what is said of it.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "apps/common/model_options.h"
#include "tests/apps/option_walk.h"
#include "tests/support/errors.h"

namespace msd::test {
namespace {

ChosenNetwork chosen(const Arguments& arguments, const std::string& dataset = "synthetic",
                     std::optional<std::int64_t> classes = std::nullopt,
                     const std::optional<BaseNetwork>& base = std::nullopt) {
  CommandLine line("", "program");
  ModelOptions options;
  options.add_to(line);
  line.parse(arguments);
  return options.choose(base, dataset, classes);
}

TEST(ChosenNetwork, IsThePapersForTheDataWhereNothingIsSaid) {
  EXPECT_EQ(chosen({}, "cifar10").config, preset("cifar10-anytime10"));
  EXPECT_EQ(chosen({}, "cifar100").config, preset("cifar100-anytime7"));
  EXPECT_EQ(chosen({}, "synthetic").config, preset("cifar10-quick"));
  EXPECT_EQ(chosen({}, "folder", 3).origin, "cifar10-anytime10");
  EXPECT_EQ(chosen({}, "folder", 3).config.classes, 3);
  EXPECT_EQ(chosen({"--image-size", "224"}, "folder").config, preset("imagenet-k4"));
  EXPECT_EQ(chosen({"--image-size", "299"}, "folder", 3).changes.options(),
            "--classes 3 --image-size 299");
  EXPECT_EQ(chosen({"--image-size", "64"}, "folder").origin, "cifar10-anytime10");
  EXPECT_EQ(chosen({"--image-size", "224", "--input-kind", "cifar"}, "folder").origin,
            "cifar10-anytime10");
  EXPECT_EQ(chosen({"--classes", "10"}).config, preset("cifar10-quick"));
}

TEST(ChosenNetwork, OptionsChangeThePublicOneOfTheData) {
  const auto of = [](const std::string& dataset, const Arguments& arguments) {
    const ChosenNetwork network = chosen(arguments, dataset);
    return network.origin + " " + network.changes.options();
  };
  EXPECT_EQ(of("synthetic", {"--blocks", "7"}), "cifar10-anytime10 --blocks 7");
  EXPECT_EQ(of("cifar10", {"--growth-rate", "12"}), "cifar10-anytime10 --growth-rate 12");
  EXPECT_EQ(of("cifar10", {"--reduction", "0.99999999"}),
            "cifar10-anytime10 --reduction 0.99999999");
  EXPECT_EQ(of("cifar100", {"--prune", "min"}), "cifar100-anytime7 --prune min");
  EXPECT_EQ(of("cifar100", {"--no-bottleneck"}), "cifar100-anytime7 --no-bottleneck");
  EXPECT_EQ(of("folder", {"--reduction", "0"}), "cifar10-anytime10 --reduction 0");
  EXPECT_EQ(of("cifar10", {"--input-kind", "imagenet"}), "imagenet-k4 ");
  EXPECT_EQ(of("folder", {"--input-kind", "imagenet", "--image-size", "64", "--step", "7"}),
            "imagenet-k4 --step 7 --image-size 64");
  // What is as it was is no change.
  EXPECT_EQ(of("cifar10", {"--blocks", "10", "--step-mode", "even"}), "cifar10-anytime10 ");
}

TEST(ChosenNetwork, APresetOrACheckpointIsItsOwnBase) {
  EXPECT_EQ(chosen({"--preset", "cifar10-tiny", "--input-kind", "imagenet"}).changes.options(),
            "--input-kind imagenet");
  EXPECT_EQ(chosen({"--preset", "cifar10-tiny"}, "cifar100", 100).changes.options(),
            "--classes 100");
  const BaseNetwork base = {preset("cifar10-tiny"), "that of w.pth"};
  const ChosenNetwork of_file = chosen({"--step", "3"}, "cifar100", 100, base);
  EXPECT_EQ(of_file.origin, "that of w.pth");
  EXPECT_EQ(of_file.changes.options(), "--step 3");  // its classes stay
  EXPECT_EQ(of_file.config.blocks, 3);
  EXPECT_EQ(chosen({"--preset", "cifar10-quick"}, "", std::nullopt, base).config,
            preset("cifar10-quick"));
}

TEST(ChosenNetwork, WhatCannotBeBuiltIsRefused) {
  EXPECT_TRUE(throws<ConfigError>(
      [] {
        chosen({"--growth-factors", "1-2-4-4"}, "cifar10");
      },
      {"--bottleneck-factors has 3", "--growth-factors 4"}));
  EXPECT_TRUE(throws<ConfigError>([] { chosen({"--reduction", "1.5"}); }, {"--reduction"}));
  for (const char* factors : {"nan", "1-", "-", "1,2,4", "1--2", "1-2-x", "1e3", "0x1-2-4"}) {
    EXPECT_TRUE(throws<ConfigError>(
        [&] {
          chosen({"--growth-factors", factors});
        },
        {"--growth-factors"}))
        << factors;
  }
}

TEST(ChosenNetwork, OneLineAndJsonSayWhatItIs) {
  // Cost and parameters: those of the public op counter.
  const ChosenNetwork network = chosen({"--blocks", "7"}, "cifar10", 100);
  EXPECT_EQ(network.line(),
            "network: cifar10-anytime10 with --blocks 7 --classes 100: 7 exits, 3067960 "
            "parameters, to the last exit 75.49M mul-adds (75.94M ops) an image");
  const nlohmann::json json = network.json();
  EXPECT_EQ(json.at("origin"), "cifar10-anytime10");
  EXPECT_EQ(json.at("changes"), "--blocks 7 --classes 100");
  EXPECT_EQ(json.at("ops"), 75937724);
  EXPECT_EQ(json.at("mul_adds"), 75487744);
  EXPECT_EQ(json.at("params"), 3067960);
  EXPECT_EQ(json.at("exits"), 7);
  EXPECT_EQ(json.at("config").get<MsdnetConfig>(), network.config);
  EXPECT_TRUE(chosen({}, "cifar10").line().starts_with("network: cifar10-anytime10: 10 exits, "));
}

class NetworkLine : public ProgramTest {
 protected:
  const Arguments run_ =
      kSmallNetwork + Arguments{"--synthetic-train", "20",       "--synthetic-test", "4",
                                "--epochs",          "1",        "--threads",        "1",
                                "--run-dir",         path("run")};
};

TEST_F(NetworkLine, BeginsTrainingAndADryRun) {
  const std::string line =
      "network: cifar10-tiny with --blocks 2 --base 1 --init-channels 4 --growth-rate 2: 2 exits, ";
  EXPECT_TRUE(run_program("msd-train", run_ + Arguments{"--dry-run"}).out.starts_with(line));
  EXPECT_TRUE(run_program("msd-train", run_).out.starts_with(line));
  const ProgramResult resumed = run_program("msd-train", {"--run-dir", path("run"), "--resume"});
  EXPECT_TRUE(resumed.out.starts_with("network: that of " + path("run")));
  const std::vector<nlohmann::json> lines =
      json_lines(run_program("msd-train", run_ + Arguments{"--overwrite", "--json"}).out);
  ASSERT_EQ(lines.size(), 2u);  // the network, an epoch
  EXPECT_EQ(lines[0].at("network").at("origin"), "cifar10-tiny");
  EXPECT_EQ(lines[0].at("network").at("config").at("blocks"), 2);
}

TEST_F(NetworkLine, ADryRunSaysWhichClassesItTakes) {
  const Arguments dry = {"--dry-run", "--dataset", "folder", "--image-size", "224"};
  const ProgramResult guessed = run_program("msd-train", dry);
  EXPECT_NE(guessed.err.find("1000 classes are taken"), std::string::npos) << guessed.err;
  EXPECT_EQ(run_program("msd-train", dry + Arguments{"--classes", "3"}).err, "");
}

TEST_F(NetworkLine, IsSaidWhereACheckpointsIsOverridden) {
  const Arguments other = {"--reduction", "0.51"};
  const ProgramResult evaluated = eval(Arguments{"--json", "--time-images", "0"} + other);
  ASSERT_TRUE(succeeds(evaluated));
  const std::string line = "network: that of " + weights_ + " with --reduction 0.51: 3 exits, ";
  EXPECT_EQ(evaluated.err.find("msd-eval: " + line), 0u) << evaluated.err;
  EXPECT_EQ(nlohmann::json::parse(evaluated.out).at("config").at("reduction"), 0.51);
  const ProgramResult inferred =
      infer(Arguments{"--json", "--part", "test", "--limit", "1"} + other);
  ASSERT_TRUE(succeeds(inferred));
  EXPECT_EQ(inferred.err.find("msd-infer: " + line), 0u) << inferred.err;
  EXPECT_EQ(json_lines(inferred.out).back().at("summary").at("network").at("changes"),
            "--reduction 0.51");
  EXPECT_EQ(eval({"--json", "--time-images", "0"}).err, "");
}

}  // namespace
}  // namespace msd::test
