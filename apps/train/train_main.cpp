// SPDX-License-Identifier: MIT
#include "apps/train/command.h"

namespace msd {
namespace {

constexpr const char* kDescription =
    "Trains an MSDNet: multi-scale dense network with an exit after every block.";

// The same command line over what the run folder's latest checkpoint says: options given again must
// agree with it (train() checks), the others need not be repeated.
int resume(const std::string& run_dir, int argc, char** argv) {
  const RunFolder folder = RunFolder::open(run_dir);
  const Checkpoint checkpoint = folder.read_latest();
  if (!checkpoint.training.is_object()) {
    throw FormatError(checkpoint.path.string() + ": holds no training state to resume");
  }
  TrainCommand command;
  CommandLine line(kDescription, "msd-train");
  command.add_to(line);
  command.training.set_defaults(checkpoint.training.at("options"));
  command.data.set_defaults(checkpoint.training.at("data"));
  line.parse(argc, argv);
  return continue_training(command, folder, checkpoint);
}

}  // namespace

int train_main(int argc, char** argv) {
  TrainCommand command;
  CommandLine line(kDescription, "msd-train");
  command.add_to(line);
  return line.run(argc, argv, [&] {
    if (command.dry_run) return print_costs(command);
    if (!command.tensors.empty()) return train_on_tensors(command);
    if (command.resume) return resume(command.run_dir, argc, argv);
    return train(command);
  });
}

}  // namespace msd
