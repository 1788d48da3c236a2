// SPDX-License-Identifier: MIT
// Every option of msd-train changes what it says. Runs are compared by their weights' bits, not by
// their files': a checkpoint records the options too, and would differ where one is not obeyed.
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <map>
#include <random>

#include "engine/files/file.h"
#include "engine/files/hash.h"
#include "models/weights/checkpoint.h"
#include "tests/apps/option_walk.h"
#include "tests/apps/train_here.h"
#include "tests/support/tensors.h"

namespace msd::test {
namespace {

namespace fs = std::filesystem;

const Arguments kNetwork =
    kSmallNetwork + Arguments{"--batch-size", "8", "--epochs", "2", "--threads", "1",
                              "--workers",    "1", "--seed",   "5"};
const Arguments kSynthetic = {"--synthetic-train", "39", "--synthetic-test", "8"};

// Small synthetic data, of which 4 images are held out.
Arguments run(const Arguments& more = {}) {
  return kNetwork + kSynthetic + Arguments{"--holdout", "4"} + more;
}

/// The best checkpoint cannot be written.
class WithoutBest : public FileSystem {
 public:
  int rename(const char* from, const char* to) override {
    if (!std::string(to).ends_with("checkpoint-best.safetensors")) {
      return FileSystem::rename(from, to);
    }
    errno = EROFS;
    return -1;
  }
};

class TrainOptions : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  // The folder of a run with these arguments, made once.
  fs::path run_folder(const Arguments& arguments) {
    const auto [known, is_new] =
        folders_.try_emplace(arguments, path("run" + std::to_string(folders_.size())));
    if (is_new) {
      EXPECT_TRUE(succeeds(
          run_program("msd-train", arguments + Arguments{"--run-dir", known->second.string()})));
    }
    return known->second;
  }
  fs::path latest(const Arguments& arguments) {
    return run_folder(arguments) / "checkpoint-latest.safetensors";
  }

  static std::string tensors_of(const fs::path& file) {
    std::string all;
    for (const auto& [name, tensor] : read_safetensors(file).tensors) {
      const std::vector<std::byte> content = bytes(tensor);
      all.append(reinterpret_cast<const char*>(content.data()), content.size());
    }
    return all;
  }

  const Observe costs_ = [](const Arguments& arguments) {
    const ProgramResult result = run_program("msd-train", arguments);
    EXPECT_TRUE(succeeds(result));
    nlohmann::json json = nlohmann::json::parse(result.out);
    json.erase("network");  // which tells the options
    return json.dump();
  };
  const Observe weights_ = [this](const Arguments& arguments) {
    return tensors_of(latest(arguments));
  };
  // A file of the run.
  Observe file(const std::string& name) {
    return [this, name](const Arguments& arguments) {
      return read_text_file(run_folder(arguments) / name);
    };
  }

  std::vector<OptionRow> data_rows();
  std::vector<OptionRow> image_rows();
  std::vector<OptionRow> recipe_rows();
  std::vector<OptionRow> run_rows();
  std::vector<OptionRow> rows_instead_of_run();

  TempFolder folder_;
  std::map<Arguments, fs::path> folders_;
};

std::vector<OptionRow> TrainOptions::data_rows() {
  const Arguments cifar = {"--dataset", "cifar10", "--data"};
  const std::string one = write_cifar(folder_ / "one", 1), two = write_cifar(folder_ / "two", 2);
  const Observe test_samples = [this](const Arguments& arguments) {
    return json_lines(read_text_file(run_folder(arguments) / "metrics.jsonl"))
        .at(0)
        .at("test")
        .at("samples")
        .dump();
  };
  const auto row = [&](const std::string& option, const std::string& value) {
    return changes(option, weights_, run(), run({option, value}));
  };
  const std::string other_split =
      (run_folder(run({"--holdout-mode", "last"})) / "split.json").string();
  return {changes("--dataset", weights_, run(), kNetwork + cifar + Arguments{one}),
          changes("--data", weights_, kNetwork + cifar + Arguments{one},
                  kNetwork + cifar + Arguments{two}),
          changes("--split", weights_, run(),
                  kNetwork + kSynthetic + Arguments{"--split", other_split}),
          changes("--holdout", file("split.json"), run(), run({"--holdout", "5"})),
          changes("--holdout-mode", file("split.json"), run(), run({"--holdout-mode", "last"})),
          changes("--holdout-seed", file("split.json"), run(), run({"--holdout-seed", "2"})),
          row("--synthetic-train", "41"),
          row("--synthetic-seed", "2"),
          changes("--synthetic-test", test_samples, run(), run({"--synthetic-test", "9"}))};
}

std::vector<OptionRow> TrainOptions::image_rows() {
  const Arguments folder = kNetwork + Arguments{"--holdout",    "2",
                                                "--image-size", "24",
                                                "--dataset",    "folder",
                                                "--data",       write_folder(folder_ / "pictures")};
  const auto row = [&](const std::string& option, const std::string& value) {
    return changes(option, weights_, folder, folder + Arguments{option, value});
  };
  const Observe how = [this](const Arguments& arguments) {
    return std::to_string(
        run_program("msd-train", arguments + Arguments{"--run-dir", path("how"), "--overwrite"})
            .exit_code);
  };
  const Arguments mean = {"--mean", "0.5,0.5,0.5"}, std = {"--std", "0.5,0.5,0.5"};
  return {row("--resize", "30"),
          row("--interpolation", "bicubic"),
          row("--normalise", "imagenet"),
          changes("--crop", how, folder, folder + Arguments{"--crop", "25"}),
          changes("--mean", weights_, folder + Arguments{"--mean", "0.1,0.1,0.1"} + std,
                  folder + mean + std),
          changes("--std", weights_, folder + mean + Arguments{"--std", "0.1,0.1,0.1"},
                  folder + mean + std)};
}

std::vector<OptionRow> TrainOptions::recipe_rows() {
  std::vector<OptionRow> rows;
  const std::vector<std::pair<std::string, std::string>> values = {
      {"--epochs", "3"},         {"--batch-size", "7"},      {"--lr", "0.05"},
      {"--momentum", "0.5"},     {"--weight-decay", "0.01"}, {"--lr-schedule", "cosine"},
      {"--lr-gamma", "0.5"},     {"--lr-milestones", "90%"}, {"--warmup-epochs", "1"},
      {"--exit-weights", "1,2"}, {"--init", "he-fan-in"},    {"--augment", "none"},
      {"--dtype", "fp64"},       {"--precision", "fp64"},    {"--seed", "6"}};
  for (const auto& [option, value] : values) {
    rows.push_back(changes(option, weights_, run(), run({option, value})));
  }
  rows.push_back(changes("--drop-last", weights_, run(), run({"--drop-last"})));
  const Arguments nesterov = run({"--nesterov"}), plain = run({"--no-nesterov"});
  rows.push_back(changes("--nesterov", weights_, plain, nesterov));
  rows.push_back(changes("--no-nesterov", weights_, nesterov, plain));
  return rows;
}

std::vector<OptionRow> TrainOptions::run_rows() {
  const auto threads = [this](const Arguments& arguments) {
    const Arguments folder = {"--run-dir", path("threads"), "--overwrite"};
    return peaks_of("msd-train", arguments + folder).threads;
  };
  const Observe saved_step = [this](const Arguments& arguments) {
    return read_checkpoint(run_folder(arguments) / "checkpoint-previous.safetensors")
        .training->at("state")
        .at("step")
        .dump();
  };
  const Observe answer = [](const Arguments& arguments) {
    return everything_said(run_program("msd-train", arguments));
  };
  const Observe exit_code = [](const Arguments& arguments) {
    return std::to_string(run_program("msd-train", arguments).exit_code);
  };
  const Observe is_json = [](const Arguments& arguments) {
    return run_program("msd-train", arguments).out.substr(0, 1);
  };
  const Observe folder_made = [this](const Arguments& arguments) {
    EXPECT_TRUE(succeeds(run_program("msd-train", arguments)));
    return std::to_string(fs::exists(path("here")));
  };
  const Observe kept = [this](const Arguments& arguments) {
    return std::to_string(fs::exists(run_folder(arguments) / "checkpoint-epoch-0002.safetensors"));
  };
  const Observe warned = [this](const Arguments& arguments) {
    WithoutBest files;
    const Arguments folder = {"--run-dir", path("unsaved"), "--overwrite"};
    const std::string said = train_here(files, arguments + folder).out;
    return std::to_string(said.find("warning") != std::string::npos);
  };
  const Arguments again = run({"--run-dir", run_folder(run()).string()});
  const Arguments from_other = run({"--weights", latest(run({"--seed", "6"})).string()});
  const Arguments anew = run({"--run-dir", path("anew"), "--overwrite"});
  return {raises("--threads", threads, 2, run(), run({"--threads", "3"})),
          raises("--workers", threads, 2, run({"--workers", "0"}), run({"--workers", "3"})),
          changes("--device", answer, run({"--run-dir", path("none"), "--device", "cpu:1"}),
                  run({"--run-dir", path("none"), "--device", "cuda:99"})),
          changes("--algorithms", answer, run(),
                  run({"--run-dir", path("none"), "--algorithms", "fastest"})),
          changes("--run-dir", folder_made, run({"--run-dir", path("there")}),
                  run({"--run-dir", path("here")})),
          changes("--log-interval", answer, run({"--run-dir", path("none"), "--lr", "1e30"}),
                  run({"--run-dir", path("none"), "--lr", "1e30", "--log-interval", "100"})),
          changes("--save-every", saved_step, run(), run({"--save-every", "2"})),
          changes("--keep", kept, run(), run({"--keep", "1"})),
          changes("--on-save-error", warned, run(), run({"--on-save-error", "continue"})),
          changes("--resume", exit_code, again, again + Arguments{"--resume"}),
          changes("--overwrite", exit_code, again, again + Arguments{"--overwrite"}),
          changes("--weights", weights_, run(),
                  run({"--weights", latest(run({"--seed", "6"})).string()})),
          changes("--optimizer-state", weights_, from_other,
                  from_other + Arguments{"--optimizer-state"}),
          changes("--json", is_json, anew, anew + Arguments{"--json"})};
}

std::vector<OptionRow> TrainOptions::rows_instead_of_run() {
  const auto write_images = [this](const std::string& name, unsigned seed) {
    std::mt19937 random(seed);
    std::vector<double> pixels(2 * 3 * 32 * 32);
    for (double& pixel : pixels) pixel = static_cast<double>(random() % 4096) / 1024.0 - 2.0;
    SystemAllocator host;
    const Tensor labels = Tensor::empty(host, {2}, DType::i64);
    labels.span<std::int64_t>()[0] = 3;
    labels.span<std::int64_t>()[1] = 8;
    write_safetensors(path(name),
                      {{"input", make_tensor({2, 3, 32, 32}, pixels)}, {"labels", labels}});
    return path(name);
  };
  const Arguments start = {"--weights", latest(run()).string(), "--threads", "1"};
  const Arguments first = {"--tensors", write_images("first", 1)};
  const Arguments second = {"--tensors", write_images("second", 2)};
  const Observe state = [this](const Arguments& arguments) {
    EXPECT_TRUE(
        succeeds(run_program("msd-train", arguments + Arguments{"--save-state", path("state")})));
    return tensors_of(path("state"));
  };
  const Observe folder_made = [this](const Arguments& arguments) {
    fs::remove_all(path("dry"));
    EXPECT_TRUE(succeeds(run_program("msd-train", arguments)));
    return std::to_string(fs::exists(path("dry")));
  };
  const Arguments wet = run({"--run-dir", path("dry")});
  const Observe named_exists = [this](const Arguments& arguments) {
    EXPECT_TRUE(succeeds(run_program("msd-train", arguments)));
    return std::to_string(fs::exists(path("there.safetensors")));
  };
  const auto saved_as = [&](const std::string& name) {
    return start + first + Arguments{"--save-state", path(name)};
  };
  const auto rates = [](const std::string& bandwidth, const std::string& matrix) {
    return Arguments{"--dry-run",   "--json",  "--batch-size",  "1000",
                     "--bandwidth", bandwidth, "--matrix-rate", matrix};
  };
  return {changes("--tensors", state, start + first, start + second),
          changes("--steps", state, start + first, start + first + Arguments{"--steps", "2"}),
          changes("--save-state", named_exists, saved_as("here.safetensors"),
                  saved_as("there.safetensors")),
          changes("--bandwidth", costs_, rates("1T", "1P"), rates("2T", "1P")),
          changes("--matrix-rate", costs_, rates("1P", "1T"), rates("1P", "2T")),
          changes("--dry-run", folder_made, wet, wet + Arguments{"--dry-run"})};
}

TEST_F(TrainOptions, EveryOneMatters) {
  std::vector<OptionRow> rows =
      network_rows(costs_, {"--preset", "cifar10-tiny", "--dry-run", "--json"});
  for (auto& more : {data_rows(), image_rows(), recipe_rows(), run_rows(), rows_instead_of_run()}) {
    rows.insert(rows.end(), more.begin(), more.end());
  }
  expect_every_option_matters("msd-train", rows);
}

TEST_F(TrainOptions, DryRunIsOfTheNetworkThatWouldBeTrained) {
  const Arguments dry = {"--dry-run", "--json"}, tiny = {"--preset", "cifar10-tiny"};
  EXPECT_EQ(costs_(dry + tiny + Arguments{"--dataset", "cifar100"}),
            costs_(dry + tiny + Arguments{"--classes", "100"}));
  EXPECT_NE(costs_(dry + Arguments{"--dataset", "cifar100"}), costs_(dry));
  const Arguments batch = {"--batch-size", "8"};  // of the floors, which no checkpoint tells
  EXPECT_EQ(costs_(dry + batch + Arguments{"--weights", latest(run()).string()}),
            costs_(dry + kNetwork + batch));
}

}  // namespace
}  // namespace msd::test
