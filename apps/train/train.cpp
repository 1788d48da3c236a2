// SPDX-License-Identifier: MIT
#include "apps/train/train.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/common/model_file.h"
#include "apps/train/costs.h"
#include "apps/train/disk_space.h"
#include "apps/train/tensors.h"
#include "apps/train/trainer.h"
#include "engine/files/file.h"

namespace msd {
namespace {

// A run to go on with, as it was left.
struct StoppedRun {
  RunFolder folder;
  Checkpoint latest;
};

std::atomic<bool> stop_requested{false};

extern "C" void request_stop(int signal) {
  stop_requested.store(true, std::memory_order_relaxed);
  std::signal(signal, SIG_DFL);  // a second one ends the program at once
}

void print_start(const TrainingRun& run, const RunFolder& folder, const ChosenNetwork& network) {
  std::cout << network.line() << '\n'
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
  const std::filesystem::path path = folder.split();
  if (!std::filesystem::exists(path)) return;
  if (load_split(path.string(), data).holdout == split.holdout) return;
  throw ConfigError("--resume continues with the images the run began with, but " + path.string() +
                    " holds out others than these options do; leave --split, --holdout, "
                    "--holdout-mode and --holdout-seed out or start a new run");
}

std::int64_t log_interval(const TrainOptions& options, const Runtime& runtime) {
  if (options.log_interval > 0) return options.log_interval;
  return runtime.device().type == DeviceType::cuda ? 50 : 1;
}

// The network the options say, over the checkpoint's that the weights come from.
ChosenNetwork network_of(const TrainOptions& options, const Checkpoint* weights,
                         const Dataset& data) {
  const std::optional<BaseNetwork> base =
      weights == nullptr ? std::nullopt : base_network(*weights, options.model);
  ChosenNetwork chosen = options.model.choose(base, data.name, data.classes());
  require_fit(chosen.config, data);
  return chosen;
}

TrainingState state_of(const StoppedRun& stopped, Network& network) {
  stopped.latest.load_weights(network);
  stopped.latest.load_velocities(network);
  return stopped.latest.training->at("state").get<TrainingState>();
}

void write_config(const RunFolder& folder, const MsdnetConfig& config,
                  const nlohmann::json& stored) {
  const nlohmann::json json = {
      {"model", config}, {"training", stored.at("options")}, {"data", stored.at("data")}};
  write_file_atomically(folder.config(), json.dump(2) + "\n");
}

// A new run, or one that goes on.
int run_training(const TrainOptions& options, const std::optional<StoppedRun>& stopped) {
  const std::unique_ptr<Runtime> runtime = options.runtime.make();
  options.recipe.precision.apply(*runtime);
  DataOptions data_options = options.data;
  data_options.fit_images_to(options.model.image_size());
  const Dataset data = data_options.load(*runtime);
  const Split split = data_options.split(data);
  std::optional<Checkpoint> start;
  if (!options.weights.empty()) start = read_checkpoint(options.weights);
  const Checkpoint* weights = stopped ? &stopped->latest : start ? &*start : nullptr;
  const ChosenNetwork chosen = network_of(options, weights, data);
  const MsdnetConfig& config = chosen.config;

  Network network(config, runtime->allocator(), options.recipe.precision.parameters());
  RecipeOptions recipe = options.recipe;
  if (options.optimizer_state) recipe.take_optimizer(*start, network);
  const nlohmann::json stored = {{"options", recipe.to_json()},
                                 {"data", data_options.to_json()},
                                 {"data_fingerprint", data.fingerprint}};
  TrainingState state;
  if (stopped) {
    require_same(stopped->latest, config, stored);
    require_same_split(stopped->folder, data, split);
    state = state_of(*stopped, network);
  } else if (start) {
    start->load_weights(network);
  } else {
    network.initialize(options.recipe.seed, options.recipe.initialization());
  }

  const TrainingRun run = {*runtime,
                           network,
                           data,
                           split,
                           recipe,
                           options.workers,
                           options.save_policy(),
                           log_interval(options, *runtime),
                           stored};
  Progress progress(Progress::choose(options.json));
  Trainer trainer(run, progress);  // before a folder is made: checks what does not fit
  const std::string little_space =
      check_disk_space(options.run_dir, checkpoint_bytes(network),
                       std::min(run.save.kept_epochs, options.recipe.epochs));
  std::optional<RunFolder> made;
  if (!stopped) made = RunFolder::create(options.run_dir, options.overwrite);
  const RunFolder& folder = stopped ? stopped->folder : *made;
  save_split(folder.split().string(), data, split);
  write_config(folder, config, stored);
  if (options.json) {
    std::cout << nlohmann::json{{"network", chosen.json()}}.dump() << std::endl;
  } else {
    print_start(run, folder, chosen);
  }
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

// The same command line over what the run folder's latest checkpoint says: options given again must
// agree with it (run_training() checks), the others need not be repeated.
int resume(const TrainOptions& given) {
  RunFolder folder = RunFolder::open(given.run_dir);
  Checkpoint latest = folder.read_latest();
  if (!latest.training->is_object()) {
    throw FormatError(latest.path.string() + ": holds no training state to resume");
  }
  CommandLine line("", "msd-train");
  TrainOptions options;
  options.add_to(line);
  options.recipe.set_defaults(latest.training->at("options"));
  options.data.set_defaults(latest.training->at("data"));
  line.parse(given.arguments());
  return run_training(options, StoppedRun{std::move(folder), std::move(latest)});
}

}  // namespace

int train(const TrainOptions& options) {
  if (options.dry_run) {
    print_costs(options);
    return 0;
  }
  if (!options.tensors.empty()) {
    train_on_tensors(options);
    return 0;
  }
  return options.resume ? resume(options) : run_training(options, std::nullopt);
}

}  // namespace msd
