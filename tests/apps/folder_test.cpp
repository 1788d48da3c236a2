// SPDX-License-Identifier: MIT
// The programs on --dataset folder: trained once with options, then used without any.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>

#include "data/image_folder.h"
#include "engine/files/file.h"
#include "models/weights/checkpoint.h"
#include "tests/apps/programs.h"
#include "tests/support/image_bytes.h"

namespace msd::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class FolderTest : public testing::Test {
 protected:
  /// 3 classes of 20 training and 7 test images, h x w.
  FolderTest() { write_images("images", 32, 32); }

  void write_images(const std::string& name, std::int64_t h, std::int64_t w) const {
    std::uint64_t seed = 0;
    for (const char* image_class : {"cat", "dog", "owl"}) {
      for (int i = 0; i < 27; ++i) {
        const std::string file = std::to_string(i) + ".ppm";
        write_image(fs::path(name) / (i < 20 ? "train" : "test") / image_class / file,
                    noise(h, w, ++seed));
      }
    }
  }
  void write_image(const fs::path& name, const Image& image) const {
    fs::create_directories((folder_.path() / name).parent_path());
    const Bytes bytes = ppm(image);
    write_file_atomically(folder_.path() / name, {std::as_bytes(std::span(bytes))});
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  Arguments training(const std::string& run, const Arguments& more = {}) const {
    return kSmallNetwork + Arguments{"--batch-size", "16",           "--epochs",  "2",
                                     "--holdout",    "12",           "--dataset", "folder",
                                     "--data",       path("images"), "--run-dir", path(run)} +
           more;
  }
  std::string latest(const std::string& run) const {
    return (folder_ / run / "checkpoint-latest.safetensors").string();
  }
  ProgramResult eval(const std::string& run, Arguments more = {}) const {
    more.insert(more.end(), {"--weights", latest(run), "--json", "--time-images", "0"});
    return run_program("msd-eval", more);
  }

  TempFolder folder_;
};

TEST_F(FolderTest, TrainsEvaluatesAndInfers) {
  ASSERT_TRUE(succeeds(run_program("msd-train", training("run"))));
  const Checkpoint checkpoint = read_checkpoint(latest("run"));
  const Dataset data = load_image_folder(path("images"));
  ASSERT_TRUE(checkpoint.data && checkpoint.config);
  EXPECT_EQ(checkpoint.data->dataset, "folder");
  EXPECT_EQ(checkpoint.data->class_names, (Arguments{"cat", "dog", "owl"}));
  EXPECT_EQ(checkpoint.data->preprocessing, (Preprocessing{{32, 32}, data.mean, data.std}));
  EXPECT_EQ(checkpoint.config->classes, 3);  // the preset has 10

  const ProgramResult evaluated = eval("run");
  ASSERT_TRUE(succeeds(evaluated));
  const json found = json::parse(evaluated.out);
  EXPECT_EQ(found.at("evaluated_on"),
            (json{{"dataset", "folder"}, {"part", "test"}, {"samples", 21}}));
  const ProgramResult inferred = run_program(
      "msd-infer", {"--weights", latest("run"), "--part", "test", "--json", "--threads", "2"});
  ASSERT_TRUE(succeeds(inferred));
  const std::vector<json> lines = json_lines(inferred.out);
  ASSERT_EQ(lines.size(), 22u);
  EXPECT_EQ(lines.back().at("summary").at("accuracy"), found.at("exits").at(1).at("top1"));
  EXPECT_EQ(lines[20].at("label"), 2);
  ASSERT_TRUE(succeeds(run_program(
      "msd-eval", {"--weights", latest("run"), "--mode", "budget"})));  // finds its hold-out
}

// The other folder has the same test images; its training images, and so their mean, differ.
TEST_F(FolderTest, MeanAndStdAreTheCheckpoints) {
  ASSERT_TRUE(succeeds(run_program("msd-train", training("run"))));
  fs::copy(path("images"), path("dark"), fs::copy_options::recursive);
  for (const char* image_class : {"cat", "dog", "owl"}) {
    for (int i = 0; i < 20; ++i) {
      const std::string file = std::to_string(i) + ".ppm";
      write_image(fs::path("dark/train") / image_class / file, Image{32, 32, Bytes(3072, 3)});
    }
  }
  ASSERT_NE(load_image_folder(path("dark")).mean,
            read_checkpoint(latest("run")).data->preprocessing.mean);
  const auto rows = [&](const std::string& data) {
    const ProgramResult result =
        run_program("msd-infer", {"--weights", latest("run"), "--data", path(data), "--part",
                                  "test", "--json", "--all-exits"});
    EXPECT_TRUE(succeeds(result));
    std::vector<json> confidences;
    for (const json& line : json_lines(result.out)) {
      if (line.contains("classes")) confidences.push_back(line.at("classes"));
    }
    EXPECT_EQ(confidences.size(), 21u);
    return confidences;
  };
  EXPECT_EQ(rows("dark"), rows("images"));
  const json dark = json::parse(eval("run", {"--data", path("dark")}).out);
  EXPECT_EQ(dark.at("exits"), json::parse(eval("run").out).at("exits"));
  EXPECT_TRUE(fails(eval("run", {"--data", path("dark"), "--part", "holdout"}), 1,
                    {"trained on other images", "--data"}));
}

TEST_F(FolderTest, ImageSizeIsRemembered) {
  write_image("images/train/dog/3.ppm", noise(40, 50));
  write_image("images/test/cat/21.ppm", noise(19, 70));
  EXPECT_TRUE(fails(run_program("msd-train", training("run")), 1,
                    {path("images/train/dog/3.ppm"), "50x40", "--image-size"}));
  const Arguments resized = {"--image-size", "24"};
  ASSERT_TRUE(succeeds(run_program("msd-train", training("run", resized))));
  const Checkpoint checkpoint = read_checkpoint(latest("run"));
  EXPECT_EQ(checkpoint.config->image_size, 24);
  EXPECT_EQ(checkpoint.data->preprocessing.fit, (ImageFit{24, 24, Interpolation::bilinear}));
  EXPECT_EQ(checkpoint.training->at("data").at("fit").at("crop"), 24);
  EXPECT_EQ(checkpoint.training->at("data_fingerprint"),
            load_image_folder(path("images"), ImageFit{24, 24}).fingerprint);

  const ProgramResult evaluated = eval("run", {"--part", "train"});
  ASSERT_TRUE(succeeds(evaluated));
  EXPECT_EQ(json::parse(eval("run", {"--part", "train", "--image-size", "24"}).out).at("exits"),
            json::parse(evaluated.out).at("exits"));
  // The files themselves are brought to the network's size in the same way.
  const auto answers = [&](const Arguments& images) {
    Arguments all = {"--weights", latest("run"), "--json"};
    all.insert(all.end(), images.begin(), images.end());
    const ProgramResult result = run_program("msd-infer", all);
    EXPECT_TRUE(succeeds(result));
    std::vector<json> classes;
    for (const json& line : json_lines(result.out)) {
      if (line.contains("classes")) classes.push_back(line.at("classes"));
    }
    EXPECT_EQ(classes.size(), 7u);
    return classes;
  };
  EXPECT_EQ(answers({path("images/test/cat")}), answers({"--part", "test", "--limit", "7"}));
  EXPECT_TRUE(succeeds(run_program("msd-train", {"--resume", "--run-dir", path("run")})));
  EXPECT_TRUE(succeeds(
      run_program("msd-train", {"--resume", "--run-dir", path("run"), "--data", path("images")})));
  write_image("images/train/dog/3.ppm", noise(41, 50));
  EXPECT_TRUE(fails(run_program("msd-train", {"--resume", "--run-dir", path("run")}), 1,
                    {"--resume", "these are others"}));
  write_image("images/train/dog/3.ppm", noise(40, 50));
  EXPECT_TRUE(
      fails(run_program("msd-train", {"--resume", "--run-dir", path("run"), "--image-size", "32"}),
            1, {"--resume", "/model/image_size"}));
}

TEST_F(FolderTest, EveryProgramTellsWhatIsLeftOut) {
  write_image("images/train/cat/more/a.ppm", noise(32, 32));
  write_image("images/train/cat/.trash/b.ppm", noise(32, 32));
  write_image("images/test/owl.ppm", noise(32, 32));
  write_file_atomically(path("images/train/cat/notes.txt"), "no image");
  const std::string told = ": left out of " + path("images") +
                           ": 1 file that is no image by its name (.txt), 1 hidden, 1 file beside "
                           "the class folders\n";
  const auto tells = [&](const std::string& program, const ProgramResult& result) {
    EXPECT_TRUE(succeeds(result));
    EXPECT_NE(result.err.find(program + told), std::string::npos) << result.err;
  };
  const ProgramResult trained =
      run_program("msd-train", training("run", {"--epochs", "1", "--holdout", "10"}));
  tells("msd-train", trained);
  EXPECT_EQ(read_checkpoint(latest("run")).training->at("data_fingerprint"),
            load_image_folder(path("images")).fingerprint);
  tells("msd-eval", eval("run"));
  const ProgramResult inferred =
      run_program("msd-infer", {"--weights", latest("run"), "--part", "train", "--json"});
  tells("msd-infer", inferred);
  EXPECT_EQ(json_lines(inferred.out).size(), 61u - 10u + 1u);
}

TEST_F(FolderTest, AllBadFilesAreNamedAtOnce) {
  for (const char* name : {"train/cat/3.ppm", "train/owl/more/9.ppm", "test/dog/21.ppm"}) {
    write_image(fs::path("images") / name, Image{0, 0, {}});
  }
  EXPECT_TRUE(fails(run_program("msd-train", training("run")), 1,
                    {"3 of 82 files", path("images/train/cat/3.ppm"),
                     path("images/train/owl/more/9.ppm"), path("images/test/dog/21.ppm")}));
  EXPECT_FALSE(fs::exists(path("run")));
}

TEST_F(FolderTest, InterruptedAndResumedIsTheSameBits) {
  const Arguments longer = {"--epochs", "12", "--image-size", "16"};
  ASSERT_TRUE(succeeds(run_program("msd-train", training("whole", longer))));
  bool interrupted = false;
  for (int attempt = 0; attempt < 6 && !interrupted; ++attempt) {
    const std::string run = "cut" + std::to_string(attempt);
    interrupted = train_and_interrupt(training(run, longer), folder_ / run, 10 * attempt) == 130;
    if (!interrupted) continue;
    ASSERT_TRUE(succeeds(run_program("msd-train", {"--resume", "--run-dir", path(run)})));
    EXPECT_EQ(read_checkpoint(latest(run)).fingerprint,
              read_checkpoint(latest("whole")).fingerprint);
  }
  EXPECT_TRUE(interrupted) << "no run was caught in the middle";
}

TEST_F(FolderTest, WhatCannotWorkFailsInOneLine) {
  const auto with = [&](const Arguments& more) {
    return run_program("msd-train", training("bad", more));
  };
  EXPECT_TRUE(fails(run_program("msd-train", {"--dataset", "folder", "--run-dir", path("bad")}), 1,
                    {"--data", "train/CLASS"}));
  EXPECT_TRUE(fails(with({"--data", path("none")}), 1, {"no folder", path("none")}));
  EXPECT_TRUE(fails(with({"--dataset", "cifar10"}), 1, {path("images"), "test_batch.bin"}));
  EXPECT_TRUE(fails(with({"--image-size", "-3"}), 1, {"--image-size"}));
  EXPECT_TRUE(fails(with({"--image-size", "0"}), 1, {"--image-size"}));
  EXPECT_TRUE(fails(with({"--classes", "10"}), 1, {"10 classes", "folder 3"}));
  for (const std::int64_t w : {24, 32}) {  // another size, and one that is not square
    write_images("images", 24, w);
    EXPECT_TRUE(fails(with({}), 1, {"32x32", "24x" + std::to_string(w), "--image-size"}));
  }
  EXPECT_FALSE(fs::exists(path("bad")));
}

TEST_F(FolderTest, OtherClassesAreRefused) {
  ASSERT_TRUE(succeeds(run_program("msd-train", training("run"))));
  for (const char* part : {"images/train/", "images/test/"}) {
    fs::rename(path(part + std::string("dog")), path(part + std::string("elk")));
  }
  EXPECT_TRUE(fails(eval("run"), 1, {latest("run"), "class 1 is dog there and elk here"}));
  for (const char* part : {"images/train/", "images/test/"}) {
    fs::rename(path(part + std::string("elk")), path(part + std::string("dog")));
    fs::copy(path(part + std::string("dog")), path(part + std::string("pig")));
  }
  EXPECT_TRUE(fails(run_program("msd-infer", {"--weights", latest("run"), "--part", "test"}), 1,
                    {"class 3 is missing there and pig here"}));
}

}  // namespace
}  // namespace msd::test
