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

TEST_F(Infer, FoldersAreSearchedToAnyDepth) {
  const std::vector<json> expected = lines({});
  // Folders called like classes say nothing of labels.
  const std::vector<std::string> names = {"folder/z.ppm", "folder/0/b.ppm", "folder/0/deep/a.ppm",
                                          "folder/1/a.ppm"};
  for (std::size_t i = 0; i < names.size(); ++i) write_image(names[i], static_cast<int>(i));
  write_file_atomically(path("folder/0/notes.txt"), "no image");
  write_file_atomically(path("folder/.hidden.ppm"), "no image");
  const ProgramResult result = infer({"--json", path("folder")});
  ASSERT_TRUE(succeeds(result));
  const std::vector<json> found = json_lines(result.out);
  ASSERT_EQ(found.size(), 5u);
  for (std::size_t i = 0; i < names.size(); ++i) {
    EXPECT_EQ(found[i].at("input"), path(names[i]));
    EXPECT_EQ(found[i].at("classes"), expected[i].at("classes"));
    EXPECT_FALSE(found[i].contains("label"));
  }
  EXPECT_FALSE(found[4].at("summary").contains("accuracy"));
  EXPECT_NE(result.err.find("msd-infer: left out: 1 file that is no image by its name (.txt), 1 "
                            "hidden\n"),
            std::string::npos)
      << result.err;
}

TEST_F(Infer, OneBadFileLosesNoOther) {
  const std::string good = write_image("good.ppm", 0);
  const std::string also = write_image("folder/also.unknown", 1);
  const std::string inner = write_image("folder/sub/inner.ppm", 2);
  std::filesystem::create_directories(path("empty"));
  write_file_atomically(path("bad.png"), "no image at all");
  std::filesystem::create_symlink("nowhere", path("folder/gone.png"));
  std::filesystem::create_directory_symlink("..", path("folder/sub/up"));
  const Arguments inputs = {path("bad.png"), good, path("none.png"), also, path("folder"),
                            path("empty"),   good};
  const std::vector<json> expected = json_lines(infer({"--json", good, also, inner}).out);
  ASSERT_EQ(expected.size(), 4u);
  for (const char* threads : {"1", "3"}) {
    const ProgramResult result = infer(Arguments{"--json", "--threads", threads} + inputs);
    EXPECT_EQ(result.exit_code, 1);
    const std::vector<json> found = json_lines(result.out);
    ASSERT_EQ(found.size(), 10u);
    const auto failed = [&](std::size_t row, const std::string& input, const std::string& error) {
      EXPECT_EQ(found[row].at("input"), path(input));
      EXPECT_NE(found[row].at("error").get<std::string>().find(error), std::string::npos)
          << found[row];
      EXPECT_FALSE(found[row].contains("classes"));
    };
    const auto answered = [&](std::size_t row, const std::string& input, std::size_t of) {
      EXPECT_EQ(found[row].at("input"), input);
      EXPECT_EQ(found[row].at("classes"), expected[of].at("classes"));
      EXPECT_FALSE(found[row].contains("error"));
    };
    failed(0, "bad.png", "not a");
    answered(1, good, 0);
    failed(2, "none.png", "No such file");
    answered(3, also, 1);
    failed(4, "folder/gone.png", "No such file");
    answered(5, inner, 2);
    failed(6, "folder/sub/up", "leads back");
    failed(7, "empty", "no images");
    answered(8, good, 0);
    EXPECT_EQ(found[9].at("summary").at("samples"), 4);
    EXPECT_EQ(found[9].at("summary").at("failed"), 5);
    EXPECT_EQ(found[9].at("summary").at("mean_mul_adds"),
              expected[3].at("summary").at("mean_mul_adds"));
    EXPECT_NE(result.err.find("5 of 9 images could not be classified, the first: " +
                              path("bad.png") + ": not a"),
              std::string::npos)
        << result.err;
  }
  // --limit counts them too.
  EXPECT_EQ(json_lines(infer(Arguments{"--json", "--limit", "3"} + inputs).out).size(), 4u);
  EXPECT_EQ(infer(Arguments{"--limit", "2", good, path("bad.png")}).exit_code, 1);
  EXPECT_EQ(infer(Arguments{"--limit", "1", good, path("bad.png")}).exit_code, 0);
}

TEST_F(Infer, FailuresForPeople) {
  const std::string good = write_image("good.ppm", 0);
  const auto tell = [](const ProgramResult& result) {
    return result.out + "stderr: " + result.err;
  };
  const ProgramResult few = infer({path("no\nne.png"), good});
  EXPECT_EQ(few.exit_code, 1);
  EXPECT_EQ(std::count(few.out.begin(), few.out.end(), '\n'), 1 + 2 + 3) << tell(few);
  EXPECT_NE(few.out.find("no?ne.png  failed: cannot open"), std::string::npos) << tell(few);
  EXPECT_NE(few.out.find("\n1 image, 1 failed, mean mul-adds "), std::string::npos) << tell(few);
  // Alone it needs no sum.
  const ProgramResult alone = infer({path("none.png")});
  EXPECT_EQ(alone.exit_code, 1);
  EXPECT_NE(alone.out.find("\n0 images, 1 failed\n"), std::string::npos) << tell(alone);
  EXPECT_TRUE(alone.err.starts_with("msd-infer: cannot open " + path("none.png"))) << tell(alone);
  const json summary = json_lines(infer({"--json", path("none.png")}).out).at(1).at("summary");
  EXPECT_EQ(summary.at("samples"), 0);
  EXPECT_FALSE(summary.contains("mean_mul_adds"));
  // Too many for a table.
  Arguments many(60, good);
  for (int i = 0; i < 22; ++i) many.push_back(path("none" + std::to_string(i)));
  const ProgramResult long_run = infer(many);
  EXPECT_EQ(long_run.exit_code, 1);
  EXPECT_EQ(std::count(long_run.out.begin(), long_run.out.end(), '\n'), 20 + 1 + 3)
      << tell(long_run);
  EXPECT_NE(long_run.out.find("failed: " + path("none19") + ": "), std::string::npos);
  EXPECT_NE(long_run.out.find("failed: 2 more; --verbose"), std::string::npos) << tell(long_run);
}

TEST_F(Infer, AnyNameIsTold) {
  const std::vector<std::string> names = {"\xc3\xa9.ppm", "a\nb.ppm", "caf\xe9.ppm", "x\\y\".ppm"};
  for (const std::string& name : names) write_image("folder/" + name, 0);
  const ProgramResult result = infer({"--json", path("folder")});
  ASSERT_TRUE(succeeds(result));
  const std::vector<json> found = json_lines(result.out);  // in byte order
  ASSERT_EQ(found.size(), 5u);
  EXPECT_EQ(found[0].at("input"), path("folder/a\nb.ppm"));
  EXPECT_EQ(found[1].at("input"), path("folder/caf\xef\xbf\xbd.ppm"));
  const std::string hex = found[1].at("input_hex");
  EXPECT_TRUE(hex.ends_with("2f636166e92e70706d")) << hex;
  EXPECT_EQ(hex.size(), 2 * path("folder/caf\xe9.ppm").size());
  EXPECT_EQ(found[2].at("input"), path("folder/x\\y\".ppm"));
  EXPECT_FALSE(found[2].contains("input_hex"));
  EXPECT_EQ(found[3].at("input"), path("folder/\xc3\xa9.ppm"));
  const ProgramResult table = infer({path("folder")});
  EXPECT_EQ(std::count(table.out.begin(), table.out.end(), '\n'), 1 + 4 + 3) << table.out;
  EXPECT_NE(table.out.find("a?b.ppm"), std::string::npos) << table.out;
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
