// SPDX-License-Identifier: MIT
// Each program's output where it was asked for: into pipes and devices, through links, and never
// over what is read.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>
#include <future>

#include "engine/files/file.h"
#include "engine/files/safetensors.h"
#include "tests/apps/programs.h"
#include "tests/support/tensors.h"

namespace msd::test {
namespace {

namespace fs = std::filesystem;

class OutputsTest : public ProgramTest {
 protected:
  OutputsTest() : fifo_(path("fifo")), tensors_(path("tensors.safetensors")) {
    if (::mkfifo(fifo_.c_str(), 0600) != 0) throw std::runtime_error("mkfifo");
    Tensor input = Tensor::empty(host_allocator(), {2, 3, 32, 32}, DType::f32);
    Tensor labels = Tensor::empty(host_allocator(), {2}, DType::i64);
    std::fill(input.span<float>().begin(), input.span<float>().end(), 0.5f);
    std::fill(labels.span<std::int64_t>().begin(), labels.span<std::int64_t>().end(), 1);
    write_safetensors(tensors_, {{"input", input}, {"labels", labels}});
  }

  /// Each program with its output at `place`, as the command line says it.
  std::vector<std::pair<std::string, Arguments>> writers(const std::string& place) const {
    return {{"msd-convert", {weights_, place, "--to", "safetensors"}},
            {"msd-convert", {weights_, place, "--to", "pth"}},
            {"msd-convert", {weights_, place, "--to", "onnx"}},
            {"msd-infer", {"--weights", weights_, "--tensors", tensors_, "--logits", place}},
            {"msd-train",
             {"--weights", weights_, "--tensors", tensors_, "--save-state", place, "--lr", "0.01"}},
            {"msd-eval", {"--weights", weights_, "--mode", "budget", "--thresholds", place}},
            {"msd-eval",
             {"--weights", weights_, "--time-images", "0", "--output", place, "--format", "csv"}}};
  }
  /// A device of the test's own, 1:3 for /dev/null and 1:7 for /dev/full; "" where there can be
  /// none.
  std::string make_device(const std::string& name, unsigned minor) const {
    if (::mknod(path(name).c_str(), S_IFCHR | 0666, makedev(1, minor)) != 0) return "";
    return ::access(path(name).c_str(), W_OK) == 0 ? path(name) : "";
  }
  static bool is_device(const std::string& place) {
    return fs::symlink_status(place).type() == fs::file_type::character;
  }

  const std::string fifo_, tensors_;
};

TEST_F(OutputsTest, APipesReaderGetsWhatAFileWouldHold) {
  for (std::size_t i = 0; i < writers("").size(); ++i) {
    const std::string file = path(i == 6 ? "expected.csv" : "expected");
    const auto [program, to_file] = writers(file)[i];
    SCOPED_TRACE(program + " " + std::to_string(i));
    ASSERT_TRUE(succeeds(run_program(program, to_file)));
    auto read = std::async(std::launch::async, [&] { return read_text_file(fifo_); });
    ASSERT_TRUE(succeeds(run_program(program, writers(fifo_)[i].second)));
    EXPECT_TRUE(read.get() == read_text_file(file));
    EXPECT_EQ(fs::symlink_status(fifo_).type(), fs::file_type::fifo);
  }
}

TEST_F(OutputsTest, DevicesStayDevices) {
  const std::string null = make_device("null", 3), full = make_device("full", 7);
  if (null.empty() || full.empty()) GTEST_SKIP() << "devices can't be made here";
  for (const auto& [program, arguments] : writers(null)) {
    EXPECT_TRUE(succeeds(run_program(program, arguments)));
    ASSERT_TRUE(is_device(null)) << program << " replaced it";
  }
  for (const auto& [program, arguments] : writers(full)) {
    const ProgramResult result = run_program(program, arguments);
    EXPECT_EQ(result.exit_code, 1) << program;
    EXPECT_NE(result.err.find("cannot write " + full), std::string::npos) << result.err;
    ASSERT_TRUE(is_device(full)) << program << " replaced it";
  }
}

TEST_F(OutputsTest, AFullDiskBehindStdoutIsNoSuccess) {
  for (const auto& [program, arguments] :
       {std::pair<const char*, Arguments>{"msd-train", {"--dry-run"}},
        {"msd-train", {"--dry-run", "--json"}},
        {"msd-train", {"--help"}},
        {"msd-convert", {weights_}},
        {"msd-convert", {"--help"}}}) {
    BackgroundProgram run(program, arguments, "/dev/full");
    EXPECT_EQ(run.wait(), 1) << program << " " << arguments[0];
  }
}

TEST_F(OutputsTest, LinksStayLinks) {
  fs::create_directory(path("far"));
  for (std::size_t i = 0; i < writers("").size(); ++i) {
    const std::string ending = i == 6 ? ".csv" : "";
    const std::string link = path("link" + std::to_string(i) + ending);
    const std::string target = path("far/target" + std::to_string(i) + ending);
    fs::create_symlink(target, link);
    const auto [program, arguments] = writers(link)[i];
    SCOPED_TRACE(program + " " + std::to_string(i));
    EXPECT_TRUE(succeeds(run_program(program, arguments)));
    EXPECT_TRUE(fs::is_symlink(link));
    EXPECT_TRUE(fs::is_regular_file(target));
  }
}

TEST_F(OutputsTest, WhatIsReadIsNeverWrittenOver) {
  const std::string before = read_text_file(weights_), link = path("link"), second = path("hard");
  fs::create_symlink(weights_, link);
  fs::create_hard_link(weights_, second);
  for (const std::string& place : {weights_, link, second, path("./weights.safetensors")}) {
    for (const auto& [program, arguments] : writers(place)) {
      if (arguments.back() == "csv") continue;  // an --output of that name is a folder's
      EXPECT_TRUE(fails(run_program(program, arguments), 1, {"are the same file"})) << place;
    }
  }
  EXPECT_TRUE(read_text_file(weights_) == before);
  fs::create_symlink(path("new.json"), path("other.json"));
  for (const char* name : {"new.json", "other.json"}) {
    EXPECT_TRUE(
        fails(eval({"--mode", "budget", "--thresholds", path("new.json"), "--output", path(name)}),
              1, {"--output and --thresholds are the same file"}));
  }
  const std::string tensors = read_text_file(tensors_);
  EXPECT_TRUE(fails(infer({"--tensors", tensors_, "--logits", tensors_}), 1,
                    {"--logits and --tensors are the same file"}));
  EXPECT_TRUE(read_text_file(tensors_) == tensors);
}

TEST_F(OutputsTest, WhatCannotBeWrittenIsSaidBeforeTheWork) {
  for (const auto& [program, arguments] : writers(path("no/such"))) {
    if (arguments.back() == "csv") continue;
    EXPECT_TRUE(fails(run_program(program, arguments), 1, {path("no/such"), "no folder"}));
  }
  EXPECT_TRUE(fails(eval({"--output", path("no/x.csv")}), 1, {"--output", "no folder"}));
  EXPECT_TRUE(fails(eval({"--output", tensors_ + "/x"}), 1, {"--output", "is a file"}));
  EXPECT_TRUE(fails(eval({"--output", path("x.txt")}), 1, {"--output", ".txt", ".csv or .json"}));
  EXPECT_FALSE(fs::exists(path("no")));
  EXPECT_FALSE(fs::exists(path("x.txt")));
}

TEST_F(OutputsTest, WeightsComeThroughAPipe) {
  const std::string weights = read_text_file(weights_);
  auto write =
      std::async(std::launch::async, [&] { std::ofstream(fifo_, std::ios::binary) << weights; });
  ASSERT_TRUE(succeeds(run_program("msd-convert", {fifo_, path("copy.safetensors")})));
  write.get();
  EXPECT_EQ(read_checkpoint(path("copy.safetensors")).fingerprint,
            read_checkpoint(weights_).fingerprint);
}

// A run's own files may be links to elsewhere, and its figures may go to nowhere.
TEST_F(OutputsTest, ARunsFilesMayBeLinksAndPipes) {
  fs::create_directories(path("run"));
  fs::create_directories(path("far"));
  for (const char* name : {"config.json", "checkpoint-best.safetensors"}) {
    fs::create_symlink(path("far/") + name, path("run/") + name);
  }
  const std::string null = make_device("null", 3);
  if (!null.empty()) fs::create_symlink(null, path("run/metrics.jsonl"));
  const Arguments run =
      kSmallNetwork + Arguments{"--synthetic-train", "20", "--synthetic-test", "4",
                                "--epochs",          "2",  "--run-dir",        path("run")};
  ASSERT_TRUE(succeeds(run_program("msd-train", run)));
  for (const char* name : {"config.json", "checkpoint-best.safetensors"}) {
    EXPECT_TRUE(fs::is_symlink(path("run/") + name)) << name;
    EXPECT_TRUE(fs::is_regular_file(path("far/") + name)) << name;
  }
  EXPECT_TRUE(null.empty() || is_device(null));
}

// JSON holds UTF-8 only: such a path works where nothing stores it, or is refused at once.
TEST_F(OutputsTest, PathsThatAreNotUtf8) {
  const std::string odd = path("d\xff");
  fs::create_directory(odd);
  const Arguments small =
      kSmallNetwork +
      Arguments{"--synthetic-train", "20", "--synthetic-test", "4", "--epochs", "1"};
  ASSERT_TRUE(succeeds(run_program("msd-train", small + Arguments{"--run-dir", odd + "/run"})));
  const std::string weights = odd + "/run/checkpoint-best.safetensors";
  const auto on = [&](const std::string& program, const Arguments& more) {
    return succeeds(run_program(program, Arguments{"--weights", weights} + more));
  };
  EXPECT_TRUE(on("msd-eval", {"--json", "--output", odd + "/report"}));
  EXPECT_TRUE(on("msd-eval", {"--mode", "budget", "--fit-part", "train"}));
  EXPECT_TRUE(on("msd-infer", {"--json", "--dataset", "synthetic", "--limit", "1", "--p", "1",
                               "--thresholds", odd + "/run/thresholds.json"}));
  EXPECT_TRUE(on("msd-train", {"--dry-run", "--json"}));
  EXPECT_TRUE(on("msd-train", {"--json", "--synthetic-train", "20", "--synthetic-test", "4",
                               "--epochs", "1", "--run-dir", path("retrained")}));
  EXPECT_TRUE(succeeds(run_program("msd-convert", {weights, "--json"})));
  EXPECT_TRUE(succeeds(run_program("msd-convert", {weights, odd + "/out.pth"})));

  const std::string run = path("refused");
  EXPECT_TRUE(
      fails(run_program("msd-train", {"--dataset", "folder", "--data", odd, "--run-dir", run}), 1,
            {"--data is not UTF-8"}));
  fs::copy(odd + "/run/split.json", odd + "/split.json");
  EXPECT_TRUE(fails(
      run_program("msd-train", small + Arguments{"--split", odd + "/split.json", "--run-dir", run}),
      1, {"--split is not UTF-8"}));
  EXPECT_FALSE(fs::exists(run));
}

}  // namespace
}  // namespace msd::test
