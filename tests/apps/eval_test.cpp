// SPDX-License-Identifier: MIT
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/common/evaluate.h"
#include "data/cifar.h"
#include "data/split.h"
#include "engine/files/file.h"
#include "models/exits/thresholds_file.h"
#include "models/network/cost.h"
#include "tests/apps/option_walk.h"
#include "tests/apps/programs.h"

namespace msd::test {
namespace {

using nlohmann::json;

class Eval : public ProgramTest {};

double share(const ExitRecords& records, const std::vector<std::int32_t>& predictions,
             std::int64_t exit) {
  std::int64_t correct = 0;
  for (std::int64_t s = 0; s < records.samples(); ++s) {
    correct += predictions[records.at(s, exit)] == records.labels[static_cast<std::size_t>(s)];
  }
  return static_cast<double>(correct) / static_cast<double>(records.samples());
}

TEST_F(Eval, AnytimeTellsCostAccuracyAndTimeOfEveryExit) {
  const ProgramResult result = eval({"--json", "--time-images", "5"});
  ASSERT_TRUE(succeeds(result));
  const json found = json::parse(result.out);
  EXPECT_EQ(found.at("mode"), "anytime");
  EXPECT_EQ(found.at("model"), read_checkpoint(weights_).fingerprint);
  EXPECT_EQ(found.at("evaluated_on"),
            (json{{"dataset", "synthetic"}, {"part", "test"}, {"samples", 110}}));
  EXPECT_EQ(found.at("timing").at("images"), 5);
  const ExitRecords expected = records("test");
  const std::vector<ExitCost> costs = exit_costs(make_architecture(small_config()));
  ASSERT_EQ(found.at("exits").size(), 3u);
  double ms = 0.0;
  for (std::int64_t exit = 0; exit < 3; ++exit) {
    const json& row = found.at("exits").at(static_cast<std::size_t>(exit));
    const ExitCost& cost = costs[static_cast<std::size_t>(exit)];
    EXPECT_EQ(row.at("exit"), exit + 1);
    EXPECT_EQ(row.at("mul_adds"), cost.mul_adds);
    EXPECT_EQ(row.at("mul_adds_lazy"), cost.mul_adds_lazy);
    EXPECT_EQ(row.at("ops"), cost.ops);
    EXPECT_EQ(row.at("params"), cost.params);
    EXPECT_EQ(row.at("top1"), share(expected, expected.prediction, exit));
    EXPECT_EQ(row.at("ensemble_top1"), share(expected, expected.ensemble_prediction, exit));
    EXPECT_GE(row.at("top5"), row.at("top1"));
    EXPECT_GE(row.at("ensemble_top5"), row.at("ensemble_top1"));
    EXPECT_GT(row.at("ms"), ms);
    ms = row.at("ms");
  }
}

TEST_F(Eval, BatchAndThreadsChangeNothing) {
  const Arguments base = {"--json", "--time-images", "0", "--part", "train"};
  const auto exits = [&](Arguments more) {
    more.insert(more.end(), base.begin(), base.end());
    return json::parse(eval(more).out).at("exits");
  };
  const json expected = exits({"--threads", "1", "--batch-size", "64"});
  EXPECT_TRUE(expected.at(0).at("ms").is_null());
  EXPECT_EQ(exits({"--threads", "2", "--batch-size", "7"}), expected);
  EXPECT_EQ(exits({"--threads", "3", "--batch-size", "1"}), expected);
}

TEST_F(Eval, OtherFormats) {
  const ProgramResult csv = eval({"--format", "csv", "--time-images", "0"});
  ASSERT_TRUE(succeeds(csv));
  EXPECT_TRUE(csv.out.starts_with("exit,mul_adds,mul_adds_lazy,ops,params,top1,"));
  EXPECT_EQ(std::count(csv.out.begin(), csv.out.end(), '\n'), 4);
  EXPECT_EQ(std::count(csv.out.begin(), csv.out.end(), ','), 4 * 9);
  const ProgramResult table = eval({"--time-images", "0", "--output", path("a.json")});
  ASSERT_TRUE(succeeds(table));
  EXPECT_NE(table.out.find("ens. top-1 %"), std::string::npos);
  EXPECT_EQ(json::parse(read_text_file(path("a.json"))).at("mode"), "anytime");
}

TEST_F(Eval, BudgetFitsOnTheHoldOutAndReplaysTheTestImages) {
  const ProgramResult result = eval({"--mode", "budget", "--json"});
  ASSERT_TRUE(succeeds(result));
  const ThresholdsFile file = read_thresholds(path("thresholds.json"));
  EXPECT_EQ(file.model, read_checkpoint(weights_).fingerprint);
  EXPECT_EQ(file.fitted_on.part, "holdout");
  EXPECT_EQ(file.fitted_on.samples, 60);
  EXPECT_EQ(file.fitted_fingerprint, small_dataset().fingerprint);
  EXPECT_EQ(file.fitted_choice->at("holdout"), 60);
  EXPECT_EQ(file.evaluated_on.samples, 110);
  const ExitRecords holdout = records("holdout"), test = records("test");
  ASSERT_EQ(file.points.size(), budget_points().size());
  for (const BudgetPoint& point : file.points) {
    EXPECT_EQ(point.thresholds, fit_thresholds(holdout, exit_shares(point.p, 3)));
    const BudgetResult fitted = simulate_exits(holdout, point.thresholds, file.mul_adds_lazy);
    EXPECT_EQ(point.expected_mul_adds, fitted.mean_cost);
    EXPECT_EQ(point.holdout_accuracy, fitted.accuracy);
    EXPECT_EQ(point.holdout_shares, fitted.shares);
    const BudgetResult replayed = simulate_exits(test, point.thresholds, file.mul_adds_lazy);
    EXPECT_EQ(point.accuracy, replayed.accuracy);
    EXPECT_EQ(point.mean_mul_adds, replayed.mean_cost);
    EXPECT_EQ(point.shares, replayed.shares);
    EXPECT_EQ(point.mean_ops, simulate_exits(test, point.thresholds, file.ops).mean_cost);
  }
  const json printed = json::parse(result.out);
  EXPECT_EQ(printed.at("points").size(), 39u);
  EXPECT_EQ(printed.at("full_network").at("accuracy"), share(test, test.prediction, 2));
}

TEST_F(Eval, BudgetTableMarksTheBalancedPoint) {
  const ProgramResult result = eval({"--mode", "budget", "--thresholds", path("t/none.json")});
  EXPECT_TRUE(fails(result, 1, {"t/none.json"}));
  const ProgramResult table =
      eval({"--mode", "budget", "--thresholds", path("t.json"), "--output", path("tables")});
  ASSERT_TRUE(succeeds(table));
  EXPECT_FALSE(std::filesystem::exists(path("thresholds.json")));
  EXPECT_EQ(read_thresholds(path("t.json")).points.size(), 39u);
  EXPECT_NE(table.out.find("fitted on 60 holdout images of synthetic"), std::string::npos);
  EXPECT_NE(table.out.find("balanced  1.00"), std::string::npos);
  EXPECT_NE(table.out.find("full network: "), std::string::npos);
  const std::string csv = read_text_file(folder_.path() / "tables" / "budget.csv");
  EXPECT_TRUE(csv.starts_with("p,accuracy,mean_mul_adds,mean_ops,"));
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 40);
}

TEST_F(Eval, ThresholdsAreNotFittedOnWhatTheyAreJudgedBy) {
  EXPECT_TRUE(fails(eval({"--mode", "budget", "--fit-part", "test"}), 1, {"test", "--fit-part"}));
  EXPECT_TRUE(fails(eval({"--mode", "budget", "--fit-part", "train", "--part", "train"}), 1,
                    {"--part train"}));
  EXPECT_FALSE(std::filesystem::exists(path("thresholds.json")));
}

TEST_F(Eval, WithoutAHoldOutItSaysWhatToDo) {
  json data = stored_data();
  data["holdout"] = 0;
  weights_ = write_weights("none.safetensors", 1, {{"data", data}});
  EXPECT_TRUE(fails(eval({"--mode", "budget"}), 1, {"--holdout 0", "train again", "--split"}));
  const ProgramResult train = eval({"--mode", "budget", "--fit-part", "train"});
  ASSERT_TRUE(succeeds(train));
  EXPECT_NE(train.out.find("fitted on 170 train images"), std::string::npos);
  EXPECT_NE(train.out.find("too sure"), std::string::npos);

  const Dataset set = small_dataset();
  save_split(path("split.json"), set, make_split(set, 60, HoldoutMode::random, 5));
  ASSERT_TRUE(succeeds(eval({"--mode", "budget", "--split", path("split.json")})));
  EXPECT_EQ(read_thresholds(path("thresholds.json")).points[19].thresholds,
            fit_thresholds(records("holdout"), exit_shares(1.0, 3)));
}

TEST_F(Eval, HoldOutOfOtherImagesIsRefused) {
  weights_ = write_weights("other.safetensors", 1,
                           {{"data", stored_data()}, {"data_fingerprint", "xxh3-128:1"}});
  EXPECT_TRUE(fails(eval({"--mode", "budget"}), 1,
                    {"other.safetensors", "xxh3-128:1", small_dataset().fingerprint}));
  EXPECT_TRUE(succeeds(eval({"--time-images", "0"})));  // the test images are as good as any
}

// As many classes, but others: every figure would be of guesses.
TEST_F(Eval, ANetworkForOtherClassesIsRefused) {
  const std::string cifar = write_cifar(folder_.path() / "cifar");
  for (const Arguments& more : {Arguments{"--mode", "budget"}, Arguments{"--time-images", "0"}}) {
    EXPECT_TRUE(fails(eval(more + Arguments{"--dataset", "cifar10", "--data", cifar}), 1,
                      {weights_, "classes of synthetic", "cifar10"}));
  }
  EXPECT_TRUE(fails(infer({"--dataset", "cifar10", "--data", cifar}), 1,
                    {weights_, "classes of synthetic", "cifar10"}));
}

TEST_F(Eval, BareStateDictionaryNeedsData) {
  const std::string cifar = write_cifar(folder_.path() / "cifar");
  SystemAllocator host;
  Network network(small_config(), host);
  network.initialize(4);
  weights_ = path("converted.safetensors");  // knows its data, but of no hold-out
  write_checkpoint(weights_, network, data_description(load_cifar(Cifar::cifar10, cifar)), json());
  const ProgramResult expected = eval({"--data", cifar, "--json", "--time-images", "0"});
  ASSERT_TRUE(succeeds(expected));
  EXPECT_TRUE(fails(eval({"--data", cifar, "--mode", "budget"}), 1, {"held out", "--split"}));

  weights_ = path("bare.safetensors");
  write_safetensors(weights_, network.parameters().state());
  const Arguments data = {"--dataset", "cifar10", "--data", cifar, "--json"};
  const Arguments named =
      data + Arguments{"--preset", "cifar10-tiny", "--init-channels", "4", "--growth-rate", "2"};
  EXPECT_TRUE(fails(eval({}), 1, {"bare.safetensors", "--dataset"}));
  for (const Arguments& options : {data, named}) {  // the network by names and shapes, by options
    const ProgramResult found = eval(options + Arguments{"--time-images", "0"});
    ASSERT_TRUE(succeeds(found));
    EXPECT_EQ(json::parse(found.out).at("exits"), json::parse(expected.out).at("exits"));
  }
  EXPECT_TRUE(fails(eval(data + Arguments{"--preset", "cifar10-tiny"}), 1, {"bare.safetensors"}));
  EXPECT_TRUE(fails(eval(data + Arguments{"--mode", "budget"}), 1, {"held out", "--split"}));
}

TEST_F(Eval, WrongUsageAndWrongFiles) {
  EXPECT_TRUE(fails(run_program("msd-eval", {}), 2, {"--weights"}));
  EXPECT_TRUE(fails(eval({"--fromat", "csv"}), 2, {"--fromat", "did you mean --format?"}));
  EXPECT_TRUE(fails(eval({"--mode", "budgets"}), 2, {"budgets"}));
  EXPECT_TRUE(fails(eval({"--json", "--format", "csv"}), 2, {"--json", "--format"}));
  EXPECT_TRUE(fails(eval({"--threads", "-1"}), 2, {"--threads"}));
  EXPECT_TRUE(fails(eval({"--device", "tpu"}), 1, {"tpu", "cpu"}));
  EXPECT_TRUE(fails(eval({"--dataset", "cifar10"}), 1, {"--data"}));
  EXPECT_TRUE(fails(eval({"--classes", "7"}), 1, {"classifier.0.linear.weight", "7"}));
  EXPECT_TRUE(fails(run_program("msd-eval", {"--weights", path("none")}), 1, {path("none")}));
  write_file_atomically(path("text.safetensors"), "no weights at all");
  EXPECT_TRUE(fails(run_program("msd-eval", {"--weights", path("text.safetensors")}), 1,
                    {"text.safetensors"}));
  const ProgramResult help = run_program("msd-eval", {"--help"});
  ASSERT_TRUE(succeeds(help));
  for (const char* option : {"--fit-part", "--time-images", "--output", "--preset", "--split"}) {
    EXPECT_NE(help.out.find(option), std::string::npos) << option;
  }
}

}  // namespace
}  // namespace msd::test
