// SPDX-License-Identifier: MIT
#include <algorithm>
#include <atomic>
#include <csignal>
#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/common/model_file.h"
#include "apps/common/table.h"
#include "apps/train/command.h"
#include "apps/train/disk_space.h"
#include "apps/train/trainer.h"
#include "engine/files/file.h"
#include "models/network/cost.h"

namespace msd {
namespace {

std::atomic<bool> stop_requested{false};

extern "C" void request_stop(int signal) {
  stop_requested.store(true, std::memory_order_relaxed);
  std::signal(signal, SIG_DFL);  // a second one ends the program at once
}

void print_start(const TrainingRun& run, const RunFolder& folder, const MsdnetConfig& config) {
  const ExitCost cost = exit_costs(run.network.architecture()).back();
  std::cout << "network: " << config.blocks << " exits, " << cost.params << " parameters, "
            << human_count(static_cast<double>(cost.mul_adds)) << " mul-adds an image\n"
            << "data: " << run.data.name << ", " << run.split.train.size() << " training, "
            << run.split.holdout.size() << " hold-out and " << run.data.test.size()
            << " test images\n"
            << "run folder: " << folder.path().string() << ", " << run.runtime.description()
            << '\n';
}

// Throws ConfigError where options given on the command line are not those the run began with.
void require_same(const Checkpoint& resumed, const MsdnetConfig& config,
                  const nlohmann::json& stored) {
  const nlohmann::json& before = *resumed.training;
  if (*resumed.config == config && before.at("options") == stored.at("options") &&
      before.at("data_fingerprint") == stored.at("data_fingerprint")) {
    return;
  }
  std::string changed;
  for (const auto& change : nlohmann::json::diff({{"model", *resumed.config}, {"training", before}},
                                                 {{"model", config}, {"training", stored}})) {
    const auto path = change.at("path").get<std::string>();
    if (path != "/training/state" && !path.starts_with("/training/data/")) changed += " " + path;
  }
  throw ConfigError("--resume continues with the options the run began with, but these differ:" +
                    changed + "; leave them out or start a new run");
}

// Throws ConfigError where the images to learn from are not those the run began with.
void require_same_split(const RunFolder& folder, const Dataset& data, const Split& split) {
  const std::filesystem::path path = folder.path() / "split.json";
  if (!std::filesystem::exists(path)) return;
  if (load_split(path.string(), data).holdout == split.holdout) return;
  throw ConfigError("--resume continues with the images the run began with, but " + path.string() +
                    " holds out others than these options do; leave --split, --holdout, "
                    "--holdout-mode and --holdout-seed out or start a new run");
}

std::int64_t log_interval(const TrainCommand& command, const Runtime& runtime) {
  if (command.log_interval > 0) return command.log_interval;
  return runtime.device().type == DeviceType::cuda ? 50 : 1;
}

int run_training(const TrainCommand& command, const RunFolder* resumed_folder,
                 const Checkpoint* resumed) {
  const std::unique_ptr<Runtime> runtime = command.runtime.make();
  command.training.precision.apply(*runtime);
  DataOptions data_options = command.data;
  data_options.fit_images_to(command.model.image_size());
  const Dataset data = data_options.load(*runtime);
  const Split split = data_options.split(data);
  std::optional<Checkpoint> start;
  if (!command.weights.empty()) start = read_checkpoint(command.weights);
  const Checkpoint* from = resumed != nullptr ? resumed : start.has_value() ? &*start : nullptr;
  const std::optional<MsdnetConfig> base =
      from == nullptr ? std::nullopt : base_config(*from, command.model);
  const MsdnetConfig config = command.model.resolve(base, data.classes());
  require_fit(config, data);

  Network network(config, runtime->allocator(), command.training.precision.parameters());
  TrainingOptions training = command.training;
  if (command.optimizer_state) take_optimizer(*start, network, training);
  const nlohmann::json stored = {{"options", training.to_json()},
                                 {"data", data_options.to_json()},
                                 {"data_fingerprint", data.fingerprint}};
  TrainingState state;
  if (resumed != nullptr) {
    require_same(*resumed, config, stored);
    require_same_split(*resumed_folder, data, split);
    resumed->load_weights(network);
    resumed->load_velocities(network);
    state = resumed->training->at("state").get<TrainingState>();
  } else if (start.has_value()) {
    start->load_weights(network);
  } else {
    network.initialize(command.training.seed, command.training.initialization());
  }

  const TrainingRun run = {*runtime,
                           network,
                           data,
                           split,
                           training,
                           command.workers,
                           command.save_policy(),
                           log_interval(command, *runtime),
                           stored};
  Progress progress(Progress::choose(command.json));
  Trainer trainer(run, progress);  // before a folder is made: checks what does not fit
  const std::string little_space =
      check_disk_space(command.run_dir, checkpoint_bytes(network),
                       std::min(run.save.kept_epochs, command.training.epochs));
  std::optional<RunFolder> made;
  if (resumed_folder == nullptr) made = RunFolder::create(command.run_dir, command.overwrite);
  const RunFolder& folder = made.has_value() ? *made : *resumed_folder;
  save_split((folder.path() / "split.json").string(), data, split);
  write_file_atomically(
      folder.path() / "config.json",
      nlohmann::json{
          {"model", config}, {"training", stored.at("options")}, {"data", stored.at("data")}}
              .dump(2) +
          "\n");
  if (!command.json) print_start(run, folder, config);
  if (!little_space.empty()) progress.warn(little_space);
  std::signal(SIGINT, request_stop);
  std::signal(SIGTERM, request_stop);
  if (!trainer.run(folder, state, stop_requested)) {
    std::cerr << "msd-train: stopped; " << folder.latest().string()
              << " is saved, continue with --run-dir " << folder.path().string() << " --resume\n";
    return 130;
  }
  return 0;
}

}  // namespace

int train(const TrainCommand& command) { return run_training(command, nullptr, nullptr); }

int continue_training(const TrainCommand& command, const RunFolder& folder,
                      const Checkpoint& checkpoint) {
  return run_training(command, &folder, &checkpoint);
}

}  // namespace msd
