// SPDX-License-Identifier: MIT
#include <cmath>

#include "models/exits/thresholds_file.h"
#include "models/network/cost.h"
#include "tests/apps/programs.h"

namespace msd::test {
namespace {

using nlohmann::json;

class InferRules : public ProgramTest {
 protected:
  json summary(Arguments more) {
    more.insert(more.end(), {"--part", "test", "--json"});
    const ProgramResult result = infer(more);
    EXPECT_TRUE(succeeds(result));
    return json_lines(result.out).back().at("summary");
  }
};

TEST_F(InferRules, ThresholdsAtTheEnds) {
  const std::vector<ExitCost> costs = exit_costs(make_architecture(small_config()));
  const json eager = summary({"--threshold", "0"});
  EXPECT_EQ(eager.at("exit_shares"), json({1.0, 0.0, 0.0}));
  EXPECT_EQ(eager.at("mean_mul_adds"), costs[0].mul_adds_lazy);
  const json patient = summary({"--threshold", "1"});
  EXPECT_EQ(patient.at("exit_shares"), json({0.0, 0.0, 1.0}));
  EXPECT_EQ(patient.at("mean_mul_adds"), costs[2].mul_adds_lazy);
}

TEST_F(InferRules, DeadlinesAtTheEnds) {
  const json hopeless = summary({"--deadline-ms", "0.000001"});
  EXPECT_EQ(hopeless.at("exit_shares"), json({1.0, 0.0, 0.0}));
  EXPECT_EQ(hopeless.at("late_share"), 1.0);
  const json easy = summary({"--deadline-ms", "1e7", "--threads", "2"});
  EXPECT_EQ(easy.at("exit_shares"), json({0.0, 0.0, 1.0}));
  EXPECT_EQ(easy.at("late_share"), 0.0);
}

TEST_F(InferRules, BudgetPicksThePoint) {
  ASSERT_TRUE(succeeds(eval({"--mode", "budget", "--format", "csv"})));
  const std::string file_path = path("thresholds.json");
  const ThresholdsFile file = read_thresholds(file_path);
  const double budget = std::ceil(file.points[19].expected_mul_adds);
  const BudgetPoint& point = point_for_budget(file, budget);
  const json found =
      summary({"--thresholds", file_path, "--budget", std::to_string(std::llround(budget))});
  EXPECT_EQ(found.at("rule").at("p").get<double>(), point.p);
  EXPECT_EQ(found.at("accuracy").get<double>(), point.accuracy);
  EXPECT_EQ(found.at("mean_mul_adds").get<double>(), point.mean_mul_adds);
  EXPECT_EQ(summary({"--thresholds", file_path, "--budget", "1G"}).at("rule").at("p").get<double>(),
            point_for_budget(file, 1e9).p);

  const auto refused = [&](Arguments arguments) {
    arguments.insert(arguments.end(), {"--part", "test", "--thresholds", file_path});
    return infer(arguments);
  };
  EXPECT_TRUE(fails(refused({"--budget", "1k"}), 1, {"1000", "smallest"}));
  EXPECT_TRUE(fails(refused({"--budget", "much"}), 2, {"--budget", "much"}));
  EXPECT_TRUE(fails(refused({"--p", "3"}), 1, {"--p 3"}));
  EXPECT_TRUE(fails(refused({"--p", "1", "--image-size", "64"}), 1, {"64"}));
  weights_ = write_weights("other.safetensors", 2, {{"data", stored_data()}});
  EXPECT_TRUE(fails(refused({"--p", "1"}), 1,
                    {file.model, read_checkpoint(weights_).fingerprint, "thresholds.json"}));
}

TEST_F(InferRules, ExcludeEachOther) {
  const std::vector<Arguments> rules = {{"--threshold", "0.5"},
                                        {"--thresholds", "t.json", "--p", "1"},
                                        {"--exit", "1"},
                                        {"--deadline-ms", "5"},
                                        {"--all-exits"}};
  for (std::size_t i = 0; i < rules.size(); ++i) {
    for (std::size_t j = 0; j < rules.size(); ++j) {
      if (i == j) continue;
      Arguments both = rules[i];
      both.insert(both.end(), rules[j].begin(), rules[j].end());
      both.insert(both.end(), {"--part", "test"});
      EXPECT_TRUE(fails(infer(both), 2, {"excludes"})) << rules[i][0] << " " << rules[j][0];
    }
  }
}

TEST_F(InferRules, WrongUsage) {
  EXPECT_TRUE(fails(infer({}), 2, {"--dataset", "--tensors"}));
  EXPECT_TRUE(fails(infer({"--thresolds", "t.json", "a.png"}), 2,
                    {"--thresolds", "did you mean --thresholds?"}));
  EXPECT_TRUE(fails(infer({"--part", "test", "--thresholds", "t.json"}), 2, {"--budget", "--p"}));
  EXPECT_TRUE(fails(infer({"--part", "test", "--budget", "20M"}), 2, {"--thresholds"}));
  EXPECT_TRUE(fails(infer({"--part", "test", "--threshold", "1.5"}), 2, {"--threshold"}));
  EXPECT_TRUE(fails(infer({"--part", "test", "--exit", "0"}), 2, {"--exit"}));
  EXPECT_TRUE(fails(infer({"--part", "test", "--exit", "4"}), 1, {"--exit 4", "1 to 3"}));
  EXPECT_TRUE(fails(infer({"--part", "test", "--top", "6"}), 2, {"--top"}));
  EXPECT_TRUE(fails(infer({"--part", "test", "--limit", "0"}), 2, {"--limit"}));
  EXPECT_TRUE(fails(infer({"--part", "test", "a.png"}), 2, {"excludes", "--part"}));
  EXPECT_TRUE(fails(infer({"--tensors", "in.safetensors"}), 2, {"--logits"}));
  EXPECT_TRUE(fails(infer({"--tensors", "i", "--logits", "o", "--threshold", "0.5"}), 2,
                    {"excludes", "--tensors"}));
  EXPECT_TRUE(fails(run_program("msd-infer", {"a.png"}), 2, {"--weights"}));
  const ProgramResult help = run_program("msd-infer", {"--help"});
  ASSERT_TRUE(succeeds(help));
  for (const char* option : {"--deadline-ms", "--all-exits", "--dtype", "--preset", "--logits"}) {
    EXPECT_NE(help.out.find(option), std::string::npos) << option;
  }
}

}  // namespace
}  // namespace msd::test
