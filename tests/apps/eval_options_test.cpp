// SPDX-License-Identifier: MIT
// Every option of msd-eval changes what it says.
#include <gtest/gtest.h>

#include <filesystem>

#include "data/split.h"
#include "tests/apps/option_walk.h"

namespace msd::test {
namespace {

namespace fs = std::filesystem;

class EvalOptionsTest : public ProgramTest {
 protected:
  // Without timing, two equal evaluations say the same.
  const Arguments untimed_ = {"--time-images", "0"};
  const Arguments budget_ = {"--mode", "budget", "--thresholds", path("t.json")};

  const Observe said_ = [this](const Arguments& arguments) {
    return everything_said(eval(arguments));
  };
  // The files that a successful evaluation leaves in its own folder.
  const Observe files_ = [this](const Arguments& arguments) {
    fs::remove_all(path("out"));
    fs::create_directories(path("out"));
    EXPECT_TRUE(succeeds(eval(arguments)));
    std::string names;
    for (const auto& entry : fs::directory_iterator(path("out"))) names += entry.path().filename();
    return names;
  };

  std::vector<OptionRow> data_rows();
  std::vector<OptionRow> mode_rows();
  std::vector<OptionRow> execution_rows();
  std::vector<OptionRow> image_rows();
};

std::vector<OptionRow> EvalOptionsTest::data_rows() {
  // Under CIFAR's names, as the weights are of the built-in images' classes.
  const Arguments cifar = untimed_ + Arguments{"--class-names", path("one/names.txt"), "--dataset",
                                               "cifar10", "--data"};
  const std::string one = write_cifar(folder_ / "one", 1), two = write_cifar(folder_ / "two", 2);
  const Dataset data = small_dataset();
  save_split(path("split.json"), data, make_split(data, 50, HoldoutMode::last, 1));
  const Arguments holdout = untimed_ + Arguments{"--part", "holdout"};
  const Observe other_weights = [this](const Arguments& arguments) {
    return everything_said(run_program("msd-eval", arguments));
  };
  const std::string other = write_weights("other.safetensors", 2, {{"data", stored_data()}});
  return {changes("--weights", other_weights, untimed_ + Arguments{"--weights", weights_},
                  untimed_ + Arguments{"--weights", other}),
          changes("--dataset", said_, untimed_, cifar + Arguments{one}),
          changes("--data", said_, cifar + Arguments{one}, cifar + Arguments{two}),
          changes("--split", said_, holdout, holdout + Arguments{"--split", path("split.json")}),
          changes("--part", said_, untimed_, holdout)};
}

std::vector<OptionRow> EvalOptionsTest::mode_rows() {
  const Observe timed = [this](const Arguments& arguments) {
    return nlohmann::json::parse(eval(arguments + Arguments{"--json"}).out).at("timing").dump();
  };
  const auto output = [&](const std::string& to) { return untimed_ + Arguments{"--output", to}; };
  const auto thresholds = [&](const std::string& to) {
    return Arguments{"--mode", "budget", "--thresholds", to};
  };
  return {
      changes("--mode", said_, untimed_, budget_),
      changes("--fit-part", said_, budget_, budget_ + Arguments{"--fit-part", "train"}),
      changes("--time-images", timed, {"--time-images", "2"}, {"--time-images", "3"}),
      changes("--thresholds", files_, thresholds(path("t.json")), thresholds(path("out/t.json"))),
      changes("--output", files_, output(path("a.csv")), output(path("out/a.csv"))),
      changes("--format", said_, untimed_, untimed_ + Arguments{"--format", "csv"}),
      changes("--json", said_, untimed_, untimed_ + Arguments{"--json"})};
}

std::vector<OptionRow> EvalOptionsTest::execution_rows() {
  const auto peaks = [this](const Arguments& arguments) {
    return peaks_of("msd-eval", untimed_ + Arguments{"--weights", weights_} + arguments);
  };
  const auto threads = [=](const Arguments& arguments) { return peaks(arguments).threads; };
  const auto memory = [=](const Arguments& arguments) { return peaks(arguments).memory_kib; };
  const auto batch = [](const std::string& images) {
    return Arguments{"--threads", "1", "--batch-size", images};
  };
  return {
      raises("--threads", threads, 2, {"--threads", "1"}, {"--threads", "3"}),
      changes("--precision", said_, untimed_, untimed_ + Arguments{"--precision", "bf16"}),
      changes("--dtype", said_, untimed_, untimed_ + Arguments{"--dtype", "tf32"}),
      raises("--batch-size", memory, 4096, batch("1"), batch("110")),
      changes("--device", said_, untimed_, untimed_ + Arguments{"--device", "cuda:99"}),
      changes("--algorithms", said_, untimed_, untimed_ + Arguments{"--algorithms", "fastest"})};
}

std::vector<OptionRow> EvalOptionsTest::image_rows() {
  const Arguments folder =
      untimed_ + Arguments{"--dataset", "folder", "--data", write_folder(folder_ / "pictures")};
  const auto row = [&](const std::string& option, const std::string& value) {
    return changes(option, said_, folder, folder + Arguments{option, value});
  };
  const Arguments mean = {"--mean", "0.5,0.5,0.5"}, std = {"--std", "0.5,0.5,0.5"};
  return {row("--resize", "40"),
          row("--crop", "31"),
          row("--interpolation", "bicubic"),
          row("--normalise", "imagenet"),
          row("--class-names", path("no.txt")),
          changes("--mean", said_, folder + Arguments{"--mean", "0.1,0.1,0.1"} + std,
                  folder + mean + std),
          changes("--std", said_, folder + mean + Arguments{"--std", "0.1,0.1,0.1"},
                  folder + mean + std)};
}

TEST_F(EvalOptionsTest, EveryOneMatters) {
  std::vector<OptionRow> rows = network_rows(said_, untimed_);
  for (auto& more : {data_rows(), mode_rows(), execution_rows(), image_rows()}) {
    rows.insert(rows.end(), more.begin(), more.end());
  }
  expect_every_option_matters("msd-eval", rows);
}

}  // namespace
}  // namespace msd::test
