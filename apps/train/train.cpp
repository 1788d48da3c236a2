// SPDX-License-Identifier: MIT
#include <atomic>
#include <csignal>
#include <filesystem>
#include <iostream>

#include "apps/common/table.h"
#include "apps/train/command.h"
#include "apps/train/trainer.h"
#include "engine/file.h"
#include "models/cost.h"

namespace msd {
namespace {

namespace fs = std::filesystem;

std::atomic<bool> stop_requested{false};

extern "C" void request_stop(int signal) {
  stop_requested.store(true, std::memory_order_relaxed);
  std::signal(signal, SIG_DFL);  // a second one ends the program at once
}

void prepare_folder(const TrainCommand& command) {
  const fs::path folder = command.run_dir;
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw IoError(message("cannot make ", folder.string(), ": ", error.message()));
  if (command.resume) return;
  for (const char* name : {"checkpoint-latest.safetensors", "checkpoint-best.safetensors"}) {
    if (!fs::exists(folder / name)) continue;
    if (!command.overwrite) {
      throw ConfigError(message("--run-dir ", folder.string(),
                                " already holds a run; use --resume ",
                                "to continue it, --overwrite to start anew, or another folder"));
    }
    fs::remove(folder / name);
  }
}

void print_start(const TrainingRun& run, const MsdnetConfig& config) {
  const ExitCost cost = exit_costs(run.network.architecture()).back();
  std::cout << "network: " << config.blocks << " exits, " << cost.params << " parameters, "
            << human_count(static_cast<double>(cost.mul_adds)) << " mul-adds an image\n"
            << "data: " << run.data.name << ", " << run.split.train.size() << " training, "
            << run.split.holdout.size() << " hold-out and " << run.data.test.size()
            << " test images\n"
            << "run folder: " << run.folder.string() << ", " << run.runtime.threads()
            << " threads\n";
}

}  // namespace

int train(const TrainCommand& command) {
  const fs::path folder = command.run_dir;
  const fs::path latest = folder / "checkpoint-latest.safetensors";
  std::optional<Checkpoint> resumed;
  if (command.resume) resumed = read_checkpoint(latest);

  const std::unique_ptr<Runtime> runtime = command.runtime.make();
  const Dataset data = command.data.load(*runtime);
  const Split split = command.data.split(data);
  std::optional<Checkpoint> start;
  if (!command.weights.empty()) start = read_checkpoint(command.weights);
  const std::optional<MsdnetConfig> base = resumed.has_value() ? resumed->config
                                           : start.has_value() ? start->config
                                                               : std::nullopt;
  const MsdnetConfig config = command.model.resolve(base, data.classes());
  require_fit(config, data);

  Network network(config, runtime->allocator(), command.training.dtype());
  nlohmann::json stored = {{"options", command.training.to_json()},
                           {"data", command.data.to_json()},
                           {"data_fingerprint", data.fingerprint}};
  TrainingState state;
  if (resumed.has_value()) {
    const nlohmann::json& before = resumed->training;
    if (!before.is_object() || *resumed->config != config ||
        before.at("options") != stored.at("options") ||
        before.at("data_fingerprint") != stored.at("data_fingerprint")) {
      const nlohmann::json patch =
          nlohmann::json::diff({{"model", *resumed->config}, {"training", before}},
                               {{"model", config}, {"training", stored}});
      std::string changed;
      for (const auto& change : patch) {
        const auto path = change.at("path").get<std::string>();
        if (path != "/training/state" && !path.starts_with("/training/data/")) {
          changed += " " + path;
        }
      }
      throw ConfigError(
          "--resume continues with the options the run began with, but these differ:" + changed +
          "; leave them out or start a new run");
    }
    resumed->load_weights(network);
    resumed->load_velocities(network);
    state = before.at("state").get<TrainingState>();
  } else if (start.has_value()) {
    start->load_weights(network);
  } else {
    network.initialize(command.training.seed, command.training.initialization());
  }

  const TrainingRun run = {*runtime,         network,         data,   split,
                           command.training, command.workers, folder, stored};
  Progress progress(Progress::choose(command.json));
  Trainer trainer(run, progress);  // before the folder is touched: checks what does not fit
  prepare_folder(command);
  save_split((folder / "split.json").string(), data, split);
  write_file_atomically(folder / "config.json", nlohmann::json{{"model", config},
                                                               {"training", stored.at("options")},
                                                               {"data", stored.at("data")}}
                                                        .dump(2) +
                                                    "\n");
  if (!command.json) print_start(run, config);
  std::signal(SIGINT, request_stop);
  std::signal(SIGTERM, request_stop);
  if (!trainer.run(state, stop_requested)) {
    std::cerr << "msd-train: stopped; " << latest.string() << " is saved, continue with --run-dir "
              << folder.string() << " --resume\n";
    return 130;
  }
  return 0;
}

}  // namespace msd
