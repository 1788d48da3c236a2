// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

#include "apps/common/data_options.h"
#include "apps/common/model_options.h"
#include "apps/common/options.h"
#include "apps/common/runtime_options.h"
#include "apps/train/run_folder.h"
#include "apps/train/trainer.h"
#include "apps/train/training_options.h"

namespace msd {

/// msd-train's command line.
struct TrainCommand {
  ModelOptions model;
  DataOptions data;
  TrainingOptions training;
  RuntimeOptions runtime;

  std::string run_dir = "runs/msd";
  bool resume = false, overwrite = false;
  std::string weights;
  bool optimizer_state = false;
  int workers = 1;
  std::int64_t save_every = 0, log_interval = 0;
  std::string keep = "0", on_save_error = "stop";
  bool json = false, dry_run = false;
  std::string bandwidth, matrix_rate;  // of the device whose floors --dry-run prints
  std::string tensors, save_state;
  std::int64_t steps = 1;

  void add_to(CommandLine& line);
  SavePolicy save_policy() const;

 private:
  void add_run(CommandLine& line);
  void add_instead_of_run(CommandLine& line);
  void check_usage() const;

  const CommandLine* line_ = nullptr;
};

/// --optimizer-state: puts the checkpoint's velocities into the network, and SGD's settings into
/// `training` where the command line does not have them. Throws ConfigError where the file has
/// none.
void take_optimizer(const Checkpoint& checkpoint, Network& network, TrainingOptions& training);

/// --dry-run: prints the network's costs.
int print_costs(const TrainCommand& command);
/// --tensors: steps on the tensors of a file.
int train_on_tensors(const TrainCommand& command);
/// Trains from the start.
int train(const TrainCommand& command);
/// Trains on from `checkpoint`, the latest of the folder.
int continue_training(const TrainCommand& command, const RunFolder& folder,
                      const Checkpoint& checkpoint);

/// The program: parses the command line, runs what it asks for, returns the exit code.
int train_main(int argc, char** argv);

}  // namespace msd
