// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/common/evaluate.h"
#include "apps/train/progress.h"
#include "apps/train/run_folder.h"
#include "apps/train/training_options.h"
#include "data/split.h"
#include "models/training_graph.h"

namespace msd {

/// What a run is made of; everything is borrowed and outlives the trainer.
struct TrainingRun {
  Runtime& runtime;
  Network& network;
  const Dataset& data;
  const Split& split;
  const TrainingOptions& options;
  int workers = 1;
  std::int64_t save_every = 0;  // steps between saves within an epoch; 0: none
  /// Stored in checkpoints beside the trainer's own state: what the options were.
  nlohmann::json stored;
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

  /// Continues from `state` (a fresh one, or a checkpoint's) to the end, or until `stop` is set:
  /// then saves after the step in hand. Returns true when the run is complete.
  bool run(const RunFolder& folder, TrainingState state, const std::atomic<bool>& stop);

 private:
  /// Returns false where it was stopped.
  bool run_epoch(const std::atomic<bool>& stop);
  void step(const Batch& batch, double lr);
  void finish_epoch();
  void save(const std::filesystem::path& path, const std::filesystem::path& previous = {}) const;
  void save_latest();
  TrainingGraph& graph(std::int64_t batch);

  TrainingRun run_;
  Progress& progress_;
  std::vector<double> exit_weights_;
  DataDescription description_;
  Loader loader_;
  Schedule schedule_;
  Sgd sgd_;
  ExitRecorder recorder_;
  std::map<std::int64_t, std::unique_ptr<TrainingGraph>> graphs_;  // by batch size
  const RunFolder* folder_ = nullptr;                              // while it runs
  TrainingState state_;
  std::int64_t steps_since_save_ = 0;
  double epoch_seconds_ = 0.0;
  std::int64_t epoch_images_ = 0;  // since this process began the epoch
};

}  // namespace msd
