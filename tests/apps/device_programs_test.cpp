// SPDX-License-Identifier: MIT
// The programs with --device cuda, on the emulated device.

#include "engine/files/file.h"
#include "engine/files/safetensors.h"
#include "models/exits/thresholds_file.h"
#include "tests/apps/programs.h"
#include "tests/support/tensors.h"

namespace msd::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const Arguments kCuda = {"--device", "cuda"};

// Emulated and sanitized, an image takes half a second: fewer of them than elsewhere.
class DevicePrograms : public ProgramTest {
 protected:
  DevicePrograms() {
    json data = stored_data();
    data["synthetic_train"] = 60;
    data["holdout"] = 30;
    data["synthetic_test"] = 40;
    weights_ = write_weights("few_images.safetensors", 1, {{"data", data}});
  }

  ProgramResult on_device(const std::string& program, const Arguments& arguments) {
    return run_program(program + "-emulated", Arguments{"--weights", weights_} + arguments + kCuda);
  }
};

/// Two epochs of three steps, the last one short.
class DeviceTraining : public testing::Test {
 protected:
  Arguments arguments(const std::string& run, const Arguments& more) const {
    return kSmallNetwork + Arguments{"--dataset",         "synthetic",
                                     "--synthetic-train", "30",
                                     "--synthetic-test",  "10",
                                     "--holdout",         "8",
                                     "--epochs",          "2",
                                     "--batch-size",      "8",
                                     "--run-dir",         (folder_ / run).string()} +
           more;
  }
  ProgramResult train(const std::string& run, const Arguments& more) const {
    return run_program("msd-train-emulated", arguments(run, more + kCuda));
  }
  std::map<std::string, Tensor> latest(const std::string& run) const {
    return read_safetensors(folder_ / run / "checkpoint-latest.safetensors").tensors;
  }
  std::vector<json> metrics(const std::string& run) const {
    return json_lines(read_text_file(folder_ / run / "metrics.jsonl"));
  }

  TempFolder folder_;
};

TEST_F(DeviceTraining, GoesAsOnTheCpu) {
  const Arguments slowly = {"--lr", "0.001"};
  ASSERT_TRUE(succeeds(run_program("msd-train", arguments("cpu", slowly))));
  const ProgramResult result = train("cuda", slowly);
  ASSERT_TRUE(succeeds(result));
  EXPECT_NE(result.out.find("cuda:0 (emulated device)"), std::string::npos);
  Differences differences;
  const std::map<std::string, Tensor> actual = latest("cuda");
  for (const auto& [name, tensor] : latest("cpu")) {
    differences.add(name, doubles(actual.at(name)), doubles(tensor));
  }
  // Six steps: roundings of 1e-7 grow in the batch norms of few values, and from step to step with
  // the learning rate (0.3 of a velocity at 0.1).
  EXPECT_TRUE(differences.within(1e-4));
  differences.record("state");
  const std::vector<json> expected = metrics("cpu"), found = metrics("cuda");
  ASSERT_EQ(found.size(), 2u);
  for (std::size_t epoch = 0; epoch < 2; ++epoch) {
    for (const char* part : {"train", "holdout", "test"}) {
      EXPECT_EQ(found[epoch].at(part).at("samples"), expected[epoch].at(part).at("samples"));
      EXPECT_NEAR(found[epoch].at(part).at("loss").get<double>(),
                  expected[epoch].at(part).at("loss").get<double>(), 1e-2);
    }
  }
}

TEST_F(DeviceTraining, ResumesToTheSameBits) {
  ASSERT_TRUE(succeeds(train("whole", {})));
  ASSERT_TRUE(succeeds(train("parts", {"--epochs", "2", "--save-every", "2"})));
  // As after a kill in the second epoch: the save of its second step is the latest one.
  const fs::path run = folder_ / "parts";
  fs::rename(run / "checkpoint-previous.safetensors", run / "checkpoint-latest.safetensors");
  ASSERT_TRUE(succeeds(
      run_program("msd-train-emulated", Arguments{"--run-dir", run.string(), "--resume"} + kCuda)));
  EXPECT_TRUE(identical(latest("parts"), latest("whole")));
}

TEST_F(DeviceTraining, EveryPrecisionLearnsAndLooksSeldomIfTold) {
  for (const char* precision : {"fp32", "tf32", "bf16"}) {
    ASSERT_TRUE(succeeds(train(precision, {"--precision", precision, "--log-interval", "2"})));
    const std::vector<json> lines = metrics(precision);
    EXPECT_LT(lines[1].at("train").at("loss").get<double>(),
              lines[0].at("train").at("loss").get<double>());
    for (const auto& [name, tensor] : latest(precision)) {
      EXPECT_NE(tensor.dtype(), DType::bf16) << name;
    }
  }
  EXPECT_FALSE(identical(latest("fp32"), latest("tf32")));
  EXPECT_FALSE(identical(latest("fp32"), latest("bf16")));
}

TEST_F(DeviceTraining, RefusesWhatTheDeviceCannot) {
  EXPECT_TRUE(fails(train("none", {"--precision", "fp64"}), 1, {"--precision fp64", "bf16"}));
  EXPECT_TRUE(fails(run_program("msd-train", arguments("none", {"--precision", "bf16"})), 1,
                    {"--precision bf16", "--device cuda"}));
  ProgramResult diverged = train("none", {"--lr", "1e30", "--log-interval", "3", "--json"});
  diverged.out.clear();  // the network
  EXPECT_TRUE(fails(diverged, 1, {"the loss is", "step 3", "2 steps before"}));
  EXPECT_FALSE(fs::exists(folder_ / "none" / "checkpoint-latest.safetensors"));
}

// Thresholds fitted on the device, and the same device really stopping: what replay predicts.
TEST_F(DevicePrograms, InferDoesWhatEvalPredicts) {
  ASSERT_TRUE(succeeds(on_device("msd-eval", {"--mode", "budget", "--format", "csv"})));
  const ThresholdsFile file = read_thresholds(path("thresholds.json"));
  ASSERT_LT(file.points[5].mean_mul_adds, file.points[33].mean_mul_adds);  // some really leave
  for (const std::size_t point : {5u, 19u, 33u}) {
    const ProgramResult result =
        on_device("msd-infer", {"--part", "test", "--json", "--thresholds", path("thresholds.json"),
                                "--p", std::to_string(file.points[point].p)});
    ASSERT_TRUE(succeeds(result));
    const json summary = json_lines(result.out).back().at("summary");
    EXPECT_EQ(summary.at("accuracy").get<double>(), file.points[point].accuracy);
    EXPECT_EQ(summary.at("mean_mul_adds").get<double>(), file.points[point].mean_mul_adds);
  }
}

TEST_F(DevicePrograms, EvaluateAndInferAsTheCpu) {
  const Arguments anytime = {"--time-images", "2", "--json"};
  const ProgramResult expected = eval(anytime), found = on_device("msd-eval", anytime);
  ASSERT_TRUE(succeeds(found));
  const json a = json::parse(found.out).at("exits"), b = json::parse(expected.out).at("exits");
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t exit = 0; exit < a.size(); ++exit) {
    EXPECT_EQ(a[exit].at("top1"), b[exit].at("top1"));
    EXPECT_EQ(a[exit].at("ensemble_top5"), b[exit].at("ensemble_top5"));
  }
  EXPECT_TRUE(succeeds(on_device(
      "msd-infer", {"--part", "test", "--limit", "3", "--precision", "bf16", "--all-exits"})));
}

}  // namespace
}  // namespace msd::test
