// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "apps/common/evaluate.h"
#include "apps/train/metrics_file.h"
#include "apps/train/progress.h"
#include "apps/train/recipe_options.h"
#include "apps/train/run_folder.h"
#include "data/batch_feed.h"
#include "data/split.h"
#include "models/training/training_step.h"

namespace msd {

/// When a run is saved, and what then.
struct SavePolicy {
  std::int64_t every_steps = 0;    // within an epoch; 0: not there
  std::int64_t kept_epochs = 0;    // checkpoints kept of the last so many epochs
  bool go_on_after_error = false;  // otherwise the run ends with the error
};

/// What a run is made of; everything is borrowed and outlives the trainer.
struct TrainingRun {
  Runtime& runtime;
  Network& network;
  const Dataset& data;
  const DataDescription& description;  // stored in checkpoints
  const Split& split;
  const RecipeOptions& options;
  int workers = 1;
  SavePolicy save;
  std::int64_t log_interval = 1;  // steps between two looks at the loss
  /// Stored in checkpoints beside the trainer's own state: what the options were.
  const nlohmann::json& stored;
};

/// Where a run stands; part of every checkpoint.
struct TrainingState {
  std::int64_t epoch = 0, step = 0;  // the next to run
  ExitCounts counts;                 // of the epoch so far
  double best = -1.0;                // best mean hold-out accuracy over the exits
  std::int64_t best_epoch = -1;
};

void to_json(nlohmann::json& json, const TrainingState& state);
void from_json(const nlohmann::json& json, TrainingState& state);

/// The epochs of a run: steps, evaluation, metrics, checkpoints.
class Trainer {
 public:
  Trainer(const TrainingRun& run, Progress& progress);

  std::int64_t steps_per_epoch() const { return feed_.steps_per_epoch(); }
  /// What to warn of where the run goes on from `state` with other epochs than before: "" where all
  /// rates so far are those of a run begun with these epochs, which then ends with the same bits.
  std::string change_of_rates(const TrainingState& state, std::int64_t epochs_before) const;

  /// Continues from `state` (a fresh one, or a checkpoint's) to the end, or until `stop` is set:
  /// then saves after the step or the evaluated batch in hand. Returns true when the run is
  /// complete. Throws IoError where the end could not be saved, and earlier where the policy is not
  /// to go on.
  bool run(const RunFolder& folder, TrainingState state, const std::atomic<bool>& stop);

 private:
  /// Both return false where they were stopped.
  bool run_epoch();
  bool finish_epoch();
  void step(const Batch& batch, double lr);
  /// Brings state_ up to what the device counted; throws Error where the loss is not finite.
  void look();
  /// What metrics.jsonl tells of the epoch's training.
  nlohmann::json training_line() const;
  /// Adds what the network gives on the hold-out and the test images. Returns true where it is the
  /// best so far, which state_ tells then. Where it throws Stopped it has changed nothing.
  bool evaluate_epoch(nlohmann::json& line);
  void start_next_epoch();
  void save_latest(bool is_last);
  /// Saves, or warns as the policy says. also: files that get the latest's content, too.
  void save(const std::vector<std::filesystem::path>& also, bool is_last);
  void write(const std::vector<std::filesystem::path>& also);
  TrainingStep& step_of(std::int64_t batch);

  TrainingRun run_;
  Progress& progress_;
  std::vector<double> exit_weights_;
  BatchFeed feed_;
  Schedule schedule_;
  Sgd sgd_;
  DeviceExitCounter counter_;
  std::map<std::int64_t, std::unique_ptr<TrainingStep>> steps_;  // by batch size
  const TrainingStep* last_step_ = nullptr;                      // since the last look
  std::int64_t steps_since_look_ = 0;
  const RunFolder* folder_ = nullptr;        // while it runs
  const std::atomic<bool>* stop_ = nullptr;  // while it runs
  std::optional<MetricsFile> metrics_;       // while it runs
  TrainingState state_;
  std::pair<double, std::int64_t> saved_best_;  // state_.best and .best_epoch of the file
  std::int64_t steps_since_save_ = 0;
  std::chrono::steady_clock::time_point start_;  // of the epoch, in this process
  double epoch_seconds_ = 0.0;                   // until the last look
  std::int64_t epoch_images_ = 0;                // since this process began the epoch
};

}  // namespace msd
