// SPDX-License-Identifier: MIT
#include <filesystem>

#include "engine/files/file.h"
#include "models/exits/thresholds_file.h"
#include "models/network/cost.h"
#include "tests/apps/programs.h"

namespace msd::test {
namespace {

using nlohmann::json;

class Infer : public ProgramTest {
 protected:
  // The lines of a run over the test images; the last one is the summary.
  std::vector<json> lines(Arguments more) {
    more.insert(more.end(), {"--part", "test", "--json"});
    const ProgramResult result = infer(more);
    EXPECT_TRUE(succeeds(result));
    std::vector<json> found = json_lines(result.out);
    EXPECT_EQ(found.size(), 111u);
    return found;
  }

  // A binary PPM file of one of the test images.
  std::string write_image(const std::string& name, std::int64_t index) {
    const Dataset data = small_dataset();
    std::string bytes = "P6\n32 32\n255\n";
    for (const std::uint8_t value : data.test.image(index)) bytes += static_cast<char>(value);
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    write_file_atomically(path(name), bytes);
    return path(name);
  }
};

json without_time(json line) {
  line.erase("microseconds");
  for (const char* key : {"images_per_second", "median_us", "p95_us", "threads"}) {
    if (line.contains("summary")) line["summary"].erase(key);
  }
  return line;
}

TEST_F(Infer, EarlyExitEqualsTheReplayOfMsdEval) {
  ASSERT_TRUE(succeeds(eval({"--mode", "budget", "--format", "csv"})));
  const ThresholdsFile file = read_thresholds(path("thresholds.json"));
  for (const std::size_t i : {0u, 9u, 19u, 29u, 38u}) {
    const BudgetPoint& point = file.points[i];
    std::ostringstream p;
    p << point.p;
    for (const char* threads : {"1", "3"}) {
      SCOPED_TRACE("p " + p.str() + ", threads " + threads);
      const std::vector<json> found =
          lines({"--thresholds", path("thresholds.json"), "--p", p.str(), "--threads", threads});
      const json& summary = found.back().at("summary");
      EXPECT_EQ(summary.at("samples"), 110);
      EXPECT_EQ(summary.at("accuracy").get<double>(), point.accuracy);
      EXPECT_EQ(summary.at("mean_mul_adds").get<double>(), point.mean_mul_adds);
      EXPECT_EQ(summary.at("exit_shares").get<std::vector<double>>(), point.shares);
      EXPECT_EQ(summary.at("rule").at("p").get<double>(), point.p);
    }
  }
}

TEST_F(Infer, EverySampleIsWhatTheRecordsSay) {
  const float threshold = 0.125f;
  const std::vector<json> found = lines({"--threshold", "0.125", "--top", "2"});
  const ExitRecords expected = records("test");
  const std::vector<ExitCost> costs = exit_costs(make_architecture(small_config()));
  const std::vector<std::string> names = small_dataset().class_names;
  std::vector<std::int64_t> left(3);
  for (std::int64_t s = 0; s < 110; ++s) {
    const json& line = found[static_cast<std::size_t>(s)];
    const std::int64_t exit = leaving_exit(expected, s, {threshold, threshold, threshold});
    ++left[static_cast<std::size_t>(exit)];
    EXPECT_EQ(line.at("input"), s);
    EXPECT_EQ(line.at("exit"), exit + 1);
    EXPECT_EQ(line.at("confidence").get<float>(), expected.confidence[expected.at(s, exit)]);
    EXPECT_EQ(line.at("mul_adds"), costs[static_cast<std::size_t>(exit)].mul_adds_lazy);
    EXPECT_EQ(line.at("label"), expected.labels[static_cast<std::size_t>(s)]);
    const json& classes = line.at("classes");
    ASSERT_EQ(classes.size(), 2u);
    EXPECT_EQ(classes[0].at("class"), expected.prediction[expected.at(s, exit)]);
    EXPECT_EQ(classes[0].at("probability"), line.at("confidence"));
    EXPECT_LE(classes[1].at("probability"), classes[0].at("probability"));
    EXPECT_EQ(classes[0].at("name"), names[classes[0].at("class").get<std::size_t>()]);
    EXPECT_EQ(line.at("correct"), classes[0].at("class") == line.at("label"));
    EXPECT_GT(line.at("microseconds"), 0.0);
  }
  for (const std::int64_t count : left) EXPECT_GT(count, 0);  // the threshold tells samples apart
}

TEST_F(Infer, ThreadsChangeNeitherResultsNorOrder) {
  const std::vector<json> one = lines({"--threshold", "0.125"});
  const std::vector<json> four = lines({"--threshold", "0.125", "--threads", "4"});
  for (std::size_t i = 0; i < one.size(); ++i) {
    EXPECT_EQ(without_time(one[i]), without_time(four[i]));
  }
}

TEST_F(Infer, FixedExitRunsThatExitAlone) {
  const json anytime = json::parse(eval({"--json", "--time-images", "0"}).out).at("exits");
  const std::vector<ExitCost> costs = exit_costs(make_architecture(small_config()));
  for (std::size_t exit = 0; exit < 3; ++exit) {
    const std::vector<json> found = lines({"--exit", std::to_string(exit + 1)});
    const json& summary = found.back().at("summary");
    EXPECT_EQ(summary.at("mean_mul_adds"), costs[exit].mul_adds_direct);
    EXPECT_EQ(summary.at("accuracy"), anytime[exit].at("top1"));
    EXPECT_EQ(summary.at("exit_shares").at(exit), 1.0);
    EXPECT_EQ(found[0].at("exit"), exit + 1);
  }
}

TEST_F(Infer, WithoutARuleTheLastExitAnswers) {
  const json anytime = json::parse(eval({"--json", "--time-images", "0"}).out).at("exits");
  const json last = lines({}).back().at("summary");
  EXPECT_EQ(last.at("accuracy"), anytime[2].at("top1"));
  EXPECT_EQ(last.at("mean_mul_adds"), anytime[2].at("mul_adds_lazy"));
  EXPECT_EQ(last.at("mul_adds_share"), 1.0);
  EXPECT_EQ(last.at("exit_shares"), json({0.0, 0.0, 1.0}));

  const std::vector<json> all = lines({"--all-exits"});
  const json& exits = all[0].at("exits");
  ASSERT_EQ(exits.size(), 3u);
  for (std::size_t exit = 0; exit < 3; ++exit) {
    EXPECT_EQ(exits[exit].at("exit"), exit + 1);
    EXPECT_EQ(exits[exit].at("mul_adds"), anytime[exit].at("mul_adds_lazy"));
    EXPECT_EQ(all.back().at("summary").at("exit_accuracy").at(exit), anytime[exit].at("top1"));
  }
  EXPECT_EQ(exits[2].at("confidence"), all[0].at("confidence"));
  EXPECT_LT(exits[0].at("microseconds"), exits[2].at("microseconds"));
}

TEST_F(Infer, ImageFilesAnswerAsTheDataSetDoes) {
  const std::vector<json> expected = lines({"--threshold", "0.125"});
  const std::string first = write_image("one image.ppm", 7);
  write_image("folder/b.ppm", 9);
  write_image("folder/a.PPM", 8);
  write_file_atomically(path("folder/notes.txt"), "not looked at");
  const ProgramResult result =
      infer({"--threshold", "0.125", "--json", "--threads", "2", first, path("folder")});
  ASSERT_TRUE(succeeds(result));
  const std::vector<json> found = json_lines(result.out);
  ASSERT_EQ(found.size(), 4u);
  EXPECT_EQ(found[0].at("input"), first);
  EXPECT_EQ(found[1].at("input"), path("folder") + "/a.PPM");
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(found[i].at("classes"), expected[7 + i].at("classes"));
    EXPECT_EQ(found[i].at("exit"), expected[7 + i].at("exit"));
    EXPECT_FALSE(found[i].contains("label"));
  }
  EXPECT_FALSE(found[3].at("summary").contains("accuracy"));
  EXPECT_EQ(json_lines(infer({"--json", "--limit", "2", first, path("folder")}).out).size(), 3u);
}

TEST_F(Infer, WrongInputsAreNamed) {
  const std::string good = write_image("good.ppm", 0);
  std::filesystem::create_directories(path("empty"));
  write_file_atomically(path("bad.png"), "no image at all");
  EXPECT_TRUE(fails(infer({path("empty")}), 1, {"no images", path("empty")}));
  EXPECT_TRUE(fails(infer({path("none.png")}), 1, {path("none.png")}));
  EXPECT_TRUE(fails(infer({path("bad.png")}), 1, {path("bad.png")}));
  // What comes before it is told, what comes after it is not.
  for (const char* threads : {"1", "2"}) {
    const ProgramResult result =
        infer({"--json", "--threads", threads, good, path("bad.png"), good});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_EQ(json_lines(result.out).size(), 1u);
    EXPECT_NE(result.err.find("bad.png"), std::string::npos);
  }
}

TEST_F(Infer, TablesForPeople) {
  const ProgramResult few = infer({"--part", "holdout", "--limit", "5"});
  ASSERT_TRUE(succeeds(few));
  EXPECT_EQ(std::count(few.out.begin(), few.out.end(), '\n'), 1 + 5 + 3);
  EXPECT_NE(few.out.find("5 images, accuracy "), std::string::npos);
  const ProgramResult many = infer({"--part", "test"});
  ASSERT_TRUE(succeeds(many));
  EXPECT_EQ(std::count(many.out.begin(), many.out.end(), '\n'), 3);
  const ProgramResult verbose = infer({"--part", "test", "--verbose", "--all-exits"});
  ASSERT_TRUE(succeeds(verbose));
  EXPECT_EQ(std::count(verbose.out.begin(), verbose.out.end(), '\n'), 1 + 3 * 110 + 4);
}

}  // namespace
}  // namespace msd::test
