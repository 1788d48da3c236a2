// SPDX-License-Identifier: MIT
// Every option and argument of msd-infer changes what it says.
#include <gtest/gtest.h>

#include <filesystem>
#include <random>

#include "data/split.h"
#include "engine/files/file.h"
#include "engine/files/safetensors.h"
#include "models/exits/thresholds_file.h"
#include "tests/apps/option_walk.h"
#include "tests/support/tensors.h"

namespace msd::test {
namespace {

namespace fs = std::filesystem;

class InferOptionsTest : public ProgramTest {
 protected:
  const Arguments test_ = {"--part", "test", "--limit", "6"};

  std::string with_weights(const std::string& weights, const Arguments& arguments) const {
    const Arguments all = Arguments{"--weights", weights, "--json"} + arguments;
    const ProgramResult result = run_program("msd-infer", all);
    std::string said = std::to_string(result.exit_code) + result.err;
    for (nlohmann::json line : json_lines(result.out)) {
      line.erase("microseconds");
      for (const char* key : {"images_per_second", "median_us", "p95_us", "late_share"}) {
        if (line.contains("summary")) line["summary"].erase(key);
      }
      if (line.contains("exits")) line["exits"] = line["exits"].size();
      said += line.dump() + "\n";
    }
    return said;
  }
  // All that is said, in JSON, but for the times.
  const Observe said_ = [this](const Arguments& arguments) {
    return with_weights(weights_, arguments);
  };
  const Observe lines_ = [this](const Arguments& arguments) {
    const ProgramResult result = infer(arguments);
    EXPECT_TRUE(succeeds(result));
    return std::to_string(std::count(result.out.begin(), result.out.end(), '\n'));
  };

  // A PPM image of one grey.
  std::string write_image(const std::string& name, char grey) {
    write_file_atomically(path(name), "P6\n32 32\n255\n" + std::string(3 * 32 * 32, grey));
    return path(name);
  }

  std::vector<OptionRow> input_rows();
  std::vector<OptionRow> tensor_rows();
  std::vector<OptionRow> rule_rows();
  std::vector<OptionRow> output_rows();
  std::vector<OptionRow> image_rows();
};

std::vector<OptionRow> InferOptionsTest::input_rows() {
  // Under CIFAR's names, as the weights are of the built-in images' classes.
  const Arguments cifar = {
      "--class-names", path("one/names.txt"), "--limit", "2", "--dataset", "cifar10", "--data"};
  const std::string one = write_cifar(folder_ / "one", 1), two = write_cifar(folder_ / "two", 2);
  const Dataset data = small_dataset();
  save_split(path("split.json"), data, make_split(data, 50, HoldoutMode::last, 1));
  const Arguments holdout = {"--part", "holdout", "--limit", "6"};
  const std::string other = write_weights("other.safetensors", 2, {{"data", stored_data()}});
  const Observe of_weights = [this](const Arguments& arguments) {
    return with_weights(arguments.at(1), test_);
  };
  return {changes("--weights", of_weights, {"--weights", weights_}, {"--weights", other}),
          changes("images", said_, {write_image("dark.ppm", 20)}, {write_image("light.ppm", 90)}),
          changes("--dataset", said_, test_, cifar + Arguments{one}),
          changes("--data", said_, cifar + Arguments{one}, cifar + Arguments{two}),
          changes("--split", said_, holdout, holdout + Arguments{"--split", path("split.json")}),
          changes("--part", said_, test_, holdout),
          changes("--limit", said_, test_, {"--part", "test", "--limit", "7"})};
}

std::vector<OptionRow> InferOptionsTest::tensor_rows() {
  const auto write_images = [this](const std::string& name, unsigned seed) {
    std::mt19937 random(seed);
    std::vector<double> pixels(3 * 32 * 32);
    for (double& pixel : pixels) pixel = static_cast<double>(random() % 4096) / 1024.0 - 2.0;
    write_safetensors(path(name), {{"input", make_tensor({1, 3, 32, 32}, pixels)}});
    return path(name);
  };
  const Observe logits = [this](const Arguments& arguments) {
    EXPECT_TRUE(succeeds(infer(arguments + Arguments{"--logits", path("logits")})));
    return read_text_file(path("logits"));
  };
  const std::string first = write_images("first", 1), second = write_images("second", 2);
  const Observe there = [this](const Arguments& arguments) {
    EXPECT_TRUE(succeeds(infer(arguments)));
    return std::to_string(fs::exists(path("there")));
  };
  const Arguments input = {"--tensors", first, "--logits"};
  return {changes("--tensors", logits, {"--tensors", first}, {"--tensors", second}),
          changes("--logits", there, input + Arguments{path("here")},
                  input + Arguments{path("there")})};
}

std::vector<OptionRow> InferOptionsTest::rule_rows() {
  EXPECT_TRUE(succeeds(eval({"--mode", "budget"})));
  const ThresholdsFile file = read_thresholds(path("thresholds.json"));
  const Arguments fitted = test_ + Arguments{"--thresholds", path("thresholds.json")};
  const auto budget_of = [&](std::size_t point) {
    return std::to_string(std::ceil(file.points[point].expected_mul_adds));
  };
  const auto row = [this](const std::string& option, const std::string& value) {
    return changes(option, said_, test_, test_ + Arguments{option, value});
  };
  return {row("--threshold", "0"),
          row("--exit", "1"),
          row("--deadline-ms", "0.000001"),
          row("--dtype", "fp64"),
          row("--precision", "fp64"),
          changes("--all-exits", said_, test_, test_ + Arguments{"--all-exits"}),
          changes("--thresholds", said_, test_, fitted + Arguments{"--p", "0.5"}),
          changes("--p", said_, fitted + Arguments{"--p", "0.5"}, fitted + Arguments{"--p", "1.5"}),
          changes("--budget", said_, fitted + Arguments{"--budget", budget_of(5)},
                  fitted + Arguments{"--budget", budget_of(35)})};
}

std::vector<OptionRow> InferOptionsTest::output_rows() {
  const auto threads = [this](const Arguments& arguments) {
    return peaks_of("msd-infer", Arguments{"--weights", weights_, "--part", "train"} + arguments)
        .threads;
  };
  const Observe first_letter = [this](const Arguments& arguments) {
    return infer(arguments).out.substr(0, 1);
  };
  const Arguments all = {"--part", "test"};
  return {changes("--top", said_, test_, test_ + Arguments{"--top", "2"}),
          changes("--json", first_letter, test_, test_ + Arguments{"--json"}),
          changes("--verbose", lines_, all, all + Arguments{"--verbose"}),
          raises("--threads", threads, 2, {"--threads", "1"}, {"--threads", "4"}),
          changes("--device", said_, test_, test_ + Arguments{"--device", "cuda:99"}),
          changes("--algorithms", said_, test_, test_ + Arguments{"--algorithms", "fastest"})};
}

std::vector<OptionRow> InferOptionsTest::image_rows() {
  const Arguments picture = {write_folder(folder_ / "pictures") + "/test/c3"};
  const auto row = [&](const std::string& option, const std::string& value) {
    return changes(option, said_, picture, picture + Arguments{option, value});
  };
  const Arguments mean = {"--mean", "0.5,0.5,0.5"}, std = {"--std", "0.5,0.5,0.5"};
  write_file_atomically(path("names.txt"), "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n");
  return {row("--resize", "40"),
          row("--crop", "31"),
          row("--interpolation", "nearest"),
          row("--normalise", "imagenet"),
          row("--class-names", path("names.txt")),
          changes("--mean", said_, picture + Arguments{"--mean", "0.1,0.1,0.1"} + std,
                  picture + mean + std),
          changes("--std", said_, picture + mean + Arguments{"--std", "0.1,0.1,0.1"},
                  picture + mean + std)};
}

TEST_F(InferOptionsTest, EveryOneMatters) {
  std::vector<OptionRow> rows = network_rows(said_, test_);
  for (auto& more : {input_rows(), tensor_rows(), rule_rows(), output_rows(), image_rows()}) {
    rows.insert(rows.end(), more.begin(), more.end());
  }
  expect_every_option_matters("msd-infer", rows);
}

}  // namespace
}  // namespace msd::test
