// SPDX-License-Identifier: MIT
#include "apps/train/train.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/common/model_file.h"
#include "apps/common/stop.h"
#include "apps/train/costs.h"
#include "apps/train/disk_space.h"
#include "apps/train/tensors.h"
#include "apps/train/trainer.h"
#include "engine/files/file.h"
#include "engine/files/json_text.h"

namespace msd {
namespace {

// A run to go on with, as it was left.
struct StoppedRun {
  RunFolder folder;
  Checkpoint latest;
};

void print_start(const TrainingRun& run, const RunFolder& folder, const ChosenNetwork& network) {
  std::cout << network.line() << '\n'
            << "data: " << run.data.name << ", " << run.split.train.size() << " training, "
            << run.split.holdout.size() << " hold-out and " << run.data.test.size()
            << " test images\n"
            << "images: " << preprocessing_text(run.description.preprocessing) << '\n'
            << "run folder: " << folder.path().string() << ", " << run.runtime.description()
            << '\n';
}

// The options that a run may not be resumed with others of.
nlohmann::json fixed_options(const nlohmann::json& training) {
  nlohmann::json options = training.at("options");
  options.erase("epochs");
  return options;
}

// Throws ConfigError where options given on the command line are not those the run began with.
void require_same(const Checkpoint& resumed, const MsdnetConfig& config,
                  const nlohmann::json& stored) {
  const nlohmann::json& before = *resumed.training;
  if (*resumed.config == config && fixed_options(before) == fixed_options(stored) &&
      before.at("data_fingerprint") == stored.at("data_fingerprint")) {
    return;
  }
  std::string changed;
  for (const auto& change : nlohmann::json::diff({{"model", *resumed.config}, {"training", before}},
                                                 {{"model", config}, {"training", stored}})) {
    const auto path = change.at("path").get<std::string>();
    const bool is_free = path == "/training/state" || path.starts_with("/training/data/") ||
                         path == "/training/options/epochs" ||
                         path.starts_with("/training/earlier_epochs");
    if (!is_free) changed += " " + path;
  }
  if (changed == " /training/data_fingerprint") {
    throw ConfigError(message(
        "--resume continues with the images the run began with (",
        before.at("data_fingerprint").get<std::string>(), "), and these are others (",
        stored.at("data_fingerprint").get<std::string>(),
        "), or an older program resized them otherwise; give the run's --data or start a new run"));
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
                         std::optional<std::int64_t> classes) {
  const std::optional<BaseNetwork> base =
      weights == nullptr ? std::nullopt : base_network(*weights, options.model);
  return options.model.choose(base, options.data.name(), classes);
}

// How the pictures become the network's input; nothing where all must have its size: small images
// are resized only where somebody said so.
std::optional<ImageFit> fit_of(const TrainOptions& options, const Checkpoint* weights,
                               const MsdnetConfig& config) {
  if (!options.data.resizes()) return std::nullopt;
  const PreprocessingHints hints = options.preprocessing.hints();
  const bool stated = weights != nullptr && weights->data;
  const ImageFit fit =
      with_hints(stated ? weights->data->preprocessing : usual_preprocessing(config), hints, config)
          .fit;
  const bool asked = options.model.image_size() || options.preprocessing.says_fit();
  if (!asked && !options.resume && config.input_kind == InputKind::cifar) return std::nullopt;
  return fit;
}

// What the run stores of its data. A run that goes on keeps its own.
DataDescription description_of(const TrainOptions& options, const Dataset& data,
                               const std::optional<ImageFit>& fit,
                               const std::optional<StoppedRun>& stopped) {
  DataDescription description = data_description(data);
  Preprocessing& own = description.preprocessing;
  own.fit = fit.value_or(own.fit);
  if (stopped && stopped->latest.data) {
    own.mean = stopped->latest.data->preprocessing.mean;
    own.std = stopped->latest.data->preprocessing.std;
  }
  const PreprocessingHints hints = options.preprocessing.hints();
  own.mean = hints.mean.value_or(own.mean);
  own.std = hints.std.value_or(own.std);
  return description;
}

// Throws ConfigError where the images would be prepared otherwise than the run began with them.
void require_same_images(const Checkpoint& resumed, const DataDescription& description) {
  if (!resumed.data || resumed.data->preprocessing == description.preprocessing) return;
  throw ConfigError("--resume continues with the images as the run began with them: " +
                    preprocessing_text(resumed.data->preprocessing) +
                    "; leave out what says otherwise or start a new run");
}

// What to tell of weights that were made with images prepared otherwise than this run's.
std::string preparation_warning(const Checkpoint& start, const MsdnetConfig& config,
                                const DataDescription& description) {
  const Preprocessing& own = description.preprocessing;
  const Preprocessing theirs = start.data ? with_hints(start.data->preprocessing, {}, config)
                                          : usual_preprocessing(config, description.dataset);
  constexpr float kNoticed = 0.1f;  // grey levels; the public numbers for CIFAR differ by less
  bool same = !start.data || own.fit == theirs.fit;
  for (std::size_t c = 0; c < own.mean.size(); ++c) {
    same = same && std::abs(own.mean[c] - theirs.mean[c]) <= kNoticed &&
           std::abs(own.std[c] - theirs.std[c]) <= kNoticed;
  }
  if (same) return "";
  return message("this run trains on images with ", preprocessing_text(own), "; ",
                 start.path.string(),
                 start.data ? " was made with " : " does not say, but its kind usually has ",
                 preprocessing_text(theirs), ", which the options --resize to --std can keep");
}

TrainingState state_of(const StoppedRun& stopped, Network& network) {
  stopped.latest.load_weights(network);
  stopped.latest.load_velocities(network);
  TrainingState state;
  reading_json(stopped.latest.path.string() + ": the state of the training",
               [&] { state = stopped.latest.training->at("state").get<TrainingState>(); });
  return state;
}

// Where a run was resumed with other epochs than it had, and its rates so far are not those of a
// run begun with them: the epochs before and how far they went, for those who read the checkpoint
// and so that the next resume knows.
constexpr const char* kEarlierEpochs = "earlier_epochs";

// Throws FormatError where the run cannot be there, and ConfigError where it is past the end that
// --epochs says. Returns what to warn of, or "".
std::string change_epochs(const Checkpoint& latest, const Trainer& trainer,
                          const TrainingState& state, std::int64_t epochs, nlohmann::json& stored) {
  if (state.epoch < 0 || state.step < 0 || state.step > trainer.steps_per_epoch()) {
    throw FormatError(message(latest.path.string(), ": the state of the training is step ",
                              state.step, " of ", trainer.steps_per_epoch(), " of epoch ",
                              state.epoch, ", counted from 0; the file is damaged"));
  }
  std::int64_t before = 0;
  reading_json(latest.path.string() + ": the options of the training",
               [&] { read_member(latest.training->at("options"), "epochs", before); });
  nlohmann::json earlier = latest.training->value(kEarlierEpochs, nlohmann::json::array());
  const bool had_others = !earlier.empty();
  if (had_others) stored[kEarlierEpochs] = earlier;
  if (epochs == before) return "";
  const std::int64_t begun = state.epoch + (state.step > 0 ? 1 : 0);
  if (epochs < begun) {
    throw ConfigError(message("--epochs ", epochs, ": ",
                              state.step > 0 ? "the run is in epoch " : "the run has done epoch ",
                              begun, " already; give at least ", begun, ", or start a new run"));
  }
  const std::string change = trainer.change_of_rates(state, before);
  if (change.empty() && !had_others) return "";
  earlier.push_back({{"epochs", before}, {"epoch", state.epoch}, {"step", state.step}});
  stored[kEarlierEpochs] = earlier;
  return message("--epochs ", epochs, " instead of ", before, ": ",
                 change.empty()
                     ? "the run had other epochs before, so it does not end as one begun "
                       "with these"
                     : change);
}

// Throws ConfigError where JSON, and so the checkpoints, could not hold `text`.
void require_storable(const std::string& what, const std::string& text) {
  if (is_utf8(text)) return;
  throw ConfigError(message(what, " is not UTF-8, which the run's files could not store: ", text,
                            "; rename it, or give a link to it"));
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
  std::optional<Checkpoint> start;
  if (!options.weights.empty()) start = read_weights(options.weights);
  const Checkpoint* weights = stopped ? &stopped->latest : start ? &*start : nullptr;
  DataOptions data_options = options.data;
  require_storable("--data", data_options.folder());
  require_storable("--split", data_options.split_path());
  const std::optional<ImageFit> fit =
      fit_of(options, weights, network_of(options, weights, data_options.classes_of_name()).config);
  data_options.set_fit(fit);
  const Dataset data = data_options.load(*runtime);
  options.preprocessing.require_effect_on(data.name);
  const Split split = data_options.split(data);
  const ChosenNetwork chosen = network_of(options, weights, data.classes());
  const MsdnetConfig& config = chosen.config;
  require_fit(config, data);
  const DataDescription description = description_of(options, data, fit, stopped);
  for (const std::string& name : description.class_names) {
    require_storable("the name of a class", name);
  }

  Network network(config, runtime->allocator(), options.recipe.precision.parameters());
  RecipeOptions recipe = options.recipe;
  if (options.optimizer_state) recipe.take_optimizer(*start, network);
  nlohmann::json stored = {{"options", recipe.to_json()},
                           {"data", data_options.to_json()},
                           {"data_fingerprint", data.fingerprint}};
  TrainingState state;
  if (stopped) {
    if (config == stopped->latest.config) require_same_images(stopped->latest, description);
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
                           description,
                           split,
                           recipe,
                           options.workers,
                           options.save_policy(),
                           log_interval(options, *runtime),
                           stored};
  Progress progress(Progress::choose(options.json));
  Trainer trainer(run, progress);  // before a folder is made: checks what does not fit
  std::string change;
  if (stopped) change = change_epochs(stopped->latest, trainer, state, recipe.epochs, stored);
  const std::string little_space =
      check_disk_space(options.run_dir, checkpoint_bytes(network),
                       std::min(run.save.kept_epochs, options.recipe.epochs));
  const std::atomic<bool>& stop = StopSignals::finish();
  StopSignals::outlive_readers();
  std::optional<RunFolder> made;
  if (!stopped) made = RunFolder::create(options.run_dir, options.overwrite);
  const RunFolder& folder = stopped ? stopped->folder : *made;
  save_split(folder.split().string(), data, split);
  write_config(folder, config, stored);
  if (options.json) {
    std::cout << printed_json({{"network", chosen.json()}}) << std::endl;
  } else {
    print_start(run, folder, chosen);
  }
  for (const std::string& warning : {change, little_space}) {
    if (!warning.empty()) progress.warn(warning);
  }
  if (start) {
    const std::string other = preparation_warning(*start, config, description);
    if (!other.empty()) progress.warn(other);
  }
  if (state.epoch >= recipe.epochs) {
    std::cerr << "msd-train: all " << recipe.epochs << " epochs are done; a larger --epochs with "
              << "--resume goes on\n";
  }
  if (!trainer.run(folder, state, stop)) {
    std::cerr << "msd-train: stopped; " << folder.latest().string()
              << " is saved, continue with --run-dir " << folder.path().string() << " --resume\n";
    return kStoppedExitCode;
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
  reading_json(latest.path.string() + ": the options of the training", [&] {
    options.recipe.set_defaults(latest.training->at("options"));
    options.data.set_defaults(latest.training->at("data"));
  });
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
