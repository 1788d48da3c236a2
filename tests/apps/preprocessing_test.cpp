// SPDX-License-Identifier: MIT
// One way from a picture to the network's input, whatever program it comes through, and what the
// programs do where the weights' file does not say which.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>

#include "engine/files/file.h"
#include "engine/files/safetensors.h"
#include "models/network/network.h"
#include "tests/apps/option_walk.h"
#include "tests/support/image_bytes.h"

namespace msd::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class PreprocessingPrograms : public testing::Test {
 protected:
  PreprocessingPrograms() {
    config_.image_size = 48;
    config_.input_kind = InputKind::imagenet;
  }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  void write_text(const std::string& name, const std::string& text) const {
    write_file_atomically(folder_ / name, text);
  }
  /// Random weights without a word about their images, as of another program.
  std::string bare_weights() {
    Network network(config_, host_allocator());
    network.initialize(4);
    write_safetensors(path("bare.safetensors"), network.parameters().state());
    return path("bare.safetensors");
  }
  const Arguments network_ = {"--input-kind", "imagenet", "--image-size", "48"};

  /// What every exit says of each image.
  static std::vector<json> answers(const ProgramResult& result) {
    EXPECT_TRUE(succeeds(result));
    std::vector<json> found;
    for (const json& line : json_lines(result.out)) {
      if (line.contains("classes")) found.push_back(line.at("classes"));
    }
    EXPECT_FALSE(found.empty());
    return found;
  }
  static ProgramResult infer(const std::string& weights, const Arguments& more) {
    return run_program("msd-infer", Arguments{"--weights", weights, "--json"} + more);
  }
  static ProgramResult eval(const std::string& weights, const Arguments& more) {
    return run_program("msd-eval",
                       Arguments{"--weights", weights, "--json", "--time-images", "0"} + more);
  }
  static json exits(const ProgramResult& result) {
    EXPECT_TRUE(succeeds(result));
    return json::parse(result.out).at("exits");
  }

  TempFolder folder_;
  MsdnetConfig config_ = small_config();
};

// 48 pixels out of 54, whether a picture is named, lies in a folder or in a data set.
TEST_F(PreprocessingPrograms, APictureIsTheSameInAFileAndInADataSet) {
  const std::string data = write_folder(folder_ / "data"), run = path("run");
  const Arguments train =
      kSmallNetwork + network_ +
      Arguments{"--dataset",    "folder", "--data",    data, "--epochs",  "1", "--holdout", "0",
                "--batch-size", "10",     "--threads", "1",  "--run-dir", run};
  ASSERT_TRUE(succeeds(run_program("msd-train", train)));
  const std::string weights = run + "/checkpoint-latest.safetensors";
  EXPECT_EQ(read_checkpoint(weights).data->preprocessing.fit, (ImageFit{54, 48}));
  Arguments files;
  for (int label = 0; label < 10; ++label) {
    files.push_back(data + "/test/c" + std::to_string(label) + "/picture.ppm");
  }
  const std::vector<json> of_files = answers(infer(weights, files));
  EXPECT_EQ(answers(infer(weights, {"--part", "test"})), of_files);
  // Pictures in the network's own size lose their border too, in both.
  write_folder(folder_ / "square");
  for (const char* part : {"train", "test"}) {
    for (int label = 0; label < 10; ++label) {
      const Bytes bytes = ppm(noise(48, 48, static_cast<std::uint64_t>(label)));
      write_file_atomically(
          folder_ / "square" / part / ("c" + std::to_string(label)) / "picture.ppm",
          {std::as_bytes(std::span(bytes))});
    }
  }
  EXPECT_EQ(answers(infer(weights, {"--part", "test", "--data", path("square"), "--limit", "1"})),
            answers(infer(weights, {path("square/test/c0/picture.ppm")})));
  // The options go over the checkpoint's, in the same way.
  const Arguments otherwise = {"--resize", "48", "--interpolation", "bicubic"};
  const std::vector<json> other = answers(infer(weights, files + otherwise));
  EXPECT_NE(other, of_files);
  EXPECT_EQ(answers(infer(weights, otherwise + Arguments{"--part", "test"})), other);
  EXPECT_NE(infer(weights, files + otherwise).err.find("otherwise"), std::string::npos);
  EXPECT_EQ(infer(weights, files).err, "");
  // Accuracy is of the same pixels.
  const json summary = json_lines(infer(weights, {"--part", "test"}).out).back().at("summary");
  EXPECT_EQ(exits(eval(weights, {})).back().at("top1"), summary.at("accuracy"));
  EXPECT_TRUE(fails(infer(weights, files + Arguments{"--crop", "40"}), 1, {"crop of 40", "48x48"}));
  EXPECT_TRUE(fails(infer(weights, files + Arguments{"--resize", "40"}), 1, {"40", "48"}));

  const auto resumed = [&](const Arguments& more) {
    return run_program("msd-train", Arguments{"--resume", "--run-dir", run} + more);
  };
  EXPECT_TRUE(succeeds(resumed({})));
  EXPECT_TRUE(succeeds(resumed({"--resize", "54"})));
  EXPECT_TRUE(fails(resumed({"--normalise", "imagenet"}), 1, {"--resume", "images"}));
}

// Another folder's mean and deviation were once taken for the network's.
TEST_F(PreprocessingPrograms, WeightsOfOthersAreNotNormalisedByTheData) {
  const std::string weights = bare_weights();
  const std::string data = write_folder(folder_ / "data"), dark = write_folder(folder_ / "dark");
  for (int label = 0; label < 10; ++label) {
    const Bytes bytes = ppm(Image{48, 48, Bytes(48 * 48 * 3, 7)});
    write_file_atomically(folder_ / "dark/train" / ("c" + std::to_string(label)) / "picture.ppm",
                          {std::as_bytes(std::span(bytes))});
  }
  const auto of_folder = [&](const std::string& from, const Arguments& more = {}) {
    return eval(weights, network_ + Arguments{"--dataset", "folder", "--data", from} + more);
  };
  const ProgramResult said = of_folder(data);
  EXPECT_EQ(exits(said), exits(of_folder(dark)));
  EXPECT_NE(said.err.find("bare.safetensors does not say how its images are prepared: shorter side "
                          "to 54 (bilinear), the middle 48x48, normalised by imagenet's mean"),
            std::string::npos)
      << said.err;
  EXPECT_EQ(said.err.find("does not say how"), said.err.rfind("does not say how"));
  const auto of_file = [&](const Arguments& more) {
    return infer(weights, network_ + Arguments{data + "/test/c0/picture.ppm"} + more);
  };
  const ProgramResult file = of_file({});
  EXPECT_NE(file.err.find("imagenet's mean"), std::string::npos);
  const std::vector<json> usual = answers(file);
  EXPECT_EQ(usual, answers(of_file({"--normalise", "imagenet"})));
  EXPECT_EQ(usual, answers(of_file({"--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225"})));
  EXPECT_NE(usual, answers(of_file({"--normalise", "cifar10"})));
  const std::string cifar = write_cifar(folder_ / "cifar");
  const Arguments of_cifar = {"--image-size", "32", "--dataset", "cifar10", "--data", cifar};
  const ProgramResult own = eval(weights, of_cifar);
  EXPECT_NE(own.err.find("cifar10's mean 0.4914,0.4824,0.4467"), std::string::npos) << own.err;
  EXPECT_TRUE(
      fails(eval(weights, of_cifar + Arguments{"--resize", "40"}), 1, {"--resize", "cifar10"}));
}

TEST_F(PreprocessingPrograms, ConvertWritesThem) {
  const std::string weights = bare_weights();
  const std::string picture = write_folder(folder_ / "data") + "/test/c0/picture.ppm";
  write_text("names.txt",
             "\xef\xbb\xbf"
             "c0\r\nc1\nc2\nc3\nc4\nc5\nc6\nc7\nc8\nca\xc3\xa9\n");
  const Arguments images = {
      "--resize",    "60",    "--interpolation", "bicubic",       "--mean",
      "0.5,0.5,0.5", "--std", "0.25,0.25,0.25",  "--class-names", path("names.txt")};
  const std::vector<json> expected =
      answers(infer(weights, network_ + Arguments{picture} + images));
  for (const char* name : {"made.safetensors", "made.pth"}) {
    ASSERT_TRUE(
        succeeds(run_program("msd-convert", Arguments{weights, path(name)} + network_ + images)));
    const ProgramResult said = infer(path(name), {picture});
    EXPECT_EQ(answers(said), expected);
    EXPECT_EQ(said.err, "");
    const std::string text = run_program("msd-convert", {path(name)}).out;
    for (const char* part : {"images: shorter side to 60 (bicubic), the middle 48x48",
                             "mean 127.5,127.5,127.5", "classes: 10: c0, c1,"}) {
      EXPECT_NE(text.find(part), std::string::npos) << text;
    }
    const json told = json::parse(run_program("msd-convert", {path(name), "--json"}).out);
    EXPECT_EQ(told.at("preprocessing").at("resize"), 60);
    EXPECT_EQ(told.at("class_names").at(9), "ca\xc3\xa9");
  }
  EXPECT_NE(run_program("msd-convert", {weights}).out.find("does not say"), std::string::npos);
  EXPECT_TRUE(fails(run_program("msd-convert", Arguments{weights} + images), 2, {"--resize"}));
  // A class of the data that the network calls by another number is no small matter.
  write_text("turned.txt", "c1\nc0\nc2\nc3\nc4\nc5\nc6\nc7\nc8\nc9\n");
  EXPECT_TRUE(
      fails(eval(weights, network_ + Arguments{"--dataset", "folder", "--data", path("data"),
                                               "--class-names", path("turned.txt")}),
            1, {"c0 is class 1", "class 0 of folder"}));
}

TEST_F(PreprocessingPrograms, WhatCannotBeMeantIsRefused) {
  const Arguments base = {"--weights", "w", "picture.ppm"};
  const auto refuses = [&](const Arguments& more, const std::vector<std::string>& parts) {
    EXPECT_TRUE(fails(run_program("msd-infer", base + more), 2, parts));
  };
  refuses({"--mean", "0.5,0.5,0.5"}, {"--mean", "--std"});
  refuses({"--std", "0.5,0.5,0.5"}, {"--std", "--mean"});
  refuses({"--mean", "0.5,0.5,0.5", "--std", "60,60,60"}, {"one unit"});
  refuses({"--mean", "120,0.4,0.5", "--std", "60,60,60"}, {"one unit"});
  refuses({"--mean", "0.5,0.5,0.5", "--std", "0,1,1"}, {"deviation 0,1,1"});
  for (const char* mean :
       {"0.5", "0.5,0.5", "0.5,0.5,0.5,", "0.5,0.5,0.5,0.5", "0.5;0.5;0.5", "a,b,c", "0.5,,0.5",
        "[0.5,0.5,0.5]", "0.5, 0.5, 0.5", "nan,0.5,0.5", "inf,0.5,0.5"}) {
    refuses({"--mean", mean, "--std", "0.5,0.5,0.5"}, {"--mean", "0.485,0.456,0.406"});
  }
  for (const char* mean : {"-0.1,0.5,0.5", "256,100,100"}) {
    refuses({"--mean", mean, "--std", "0.5,0.5,0.5"}, {"not from 0 to 255"});
  }
  refuses({"--mean", "", "--std", "0.5,0.5,0.5"}, {"--mean"});
  refuses({"--resize", "0"}, {"--resize"});
  refuses({"--crop", "-1"}, {"--crop"});
  refuses({"--interpolation", "lanczos"}, {"--interpolation", "bicubic"});
  refuses({"--normalise", "voc"}, {"--normalise", "cifar100"});

  const std::string weights = bare_weights();
  const std::string picture = write_folder(folder_ / "data") + "/test/c0/picture.ppm";
  const auto names = [&](const std::string& text, const std::vector<std::string>& parts) {
    write_text("names.txt", text);
    const Arguments given = {picture, "--class-names", path("names.txt")};
    EXPECT_TRUE(fails(infer(weights, network_ + given), 1, parts));
  };
  names("a\nb\n", {"names.txt has 2 names", "10 classes"});
  names("", {"0 names"});
  names("a\n\nb\n", {"names.txt: line 2 is empty"});
  names("a\ncaf\xe9\n", {"line 2 is not UTF-8"});
}

// Not what the weights were made with: the run says so, and can keep theirs.
TEST_F(PreprocessingPrograms, RetrainingTellsOfOtherNumbers) {
  const std::string data = write_folder(folder_ / "data"), weights = bare_weights();
  const auto trained = [&](const std::string& run, const std::string& from, const Arguments& more) {
    return run_program("msd-train",
                       network_ + more +
                           Arguments{"--weights", from, "--dataset", "folder", "--data", data,
                                     "--epochs", "1", "--holdout", "0", "--batch-size", "10",
                                     "--threads", "1", "--run-dir", path(run)});
  };
  const ProgramResult own = trained("own", weights, {});
  ASSERT_TRUE(succeeds(own));
  EXPECT_NE(own.err.find("bare.safetensors does not say"), std::string::npos) << own.err;
  EXPECT_NE(own.err.find("imagenet's mean"), std::string::npos) << own.err;
  const ProgramResult kept = trained("kept", weights, {"--normalise", "imagenet"});
  ASSERT_TRUE(succeeds(kept));
  EXPECT_EQ(kept.err, "");
  const std::string made = path("kept/checkpoint-latest.safetensors");
  EXPECT_EQ(read_checkpoint(made).data->preprocessing, usual_preprocessing(config_));
  EXPECT_NE(trained("again", made, {}).err.find("was made with shorter side"), std::string::npos);
}

}  // namespace
}  // namespace msd::test
