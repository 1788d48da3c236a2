// SPDX-License-Identifier: MIT
#include <filesystem>

#include "apps/common/app.h"
#include "apps/train/command.h"
#include "models/checkpoint.h"

namespace {

constexpr const char* kDescription =
    "Trains an MSDNet: multi-scale dense network with an exit after every block.";

// The same command line over what the run folder's latest checkpoint says: options given again must
// agree with it (train() checks), the others need not be repeated.
int resume(const std::string& run_dir, int argc, char** argv) {
  const msd::Checkpoint checkpoint =
      msd::read_checkpoint(std::filesystem::path(run_dir) / "checkpoint-latest.safetensors");
  if (!checkpoint.training.is_object()) {
    throw msd::FormatError(checkpoint.path.string() + ": holds no training state to resume");
  }
  msd::TrainCommand command;
  CLI::App app(kDescription, "msd-train");
  command.add_to(app);
  command.training.set_defaults(checkpoint.training.at("options"));
  command.data.set_defaults(checkpoint.training.at("data"));
  app.parse(argc, argv);
  return msd::train(command);
}

}  // namespace

int main(int argc, char** argv) {
  msd::TrainCommand command;
  CLI::App app(kDescription, "msd-train");
  command.add_to(app);
  return msd::run_app(app, argc, argv, [&] {
    if (command.dry_run) {
      return msd::print_costs(command.model.resolve(std::nullopt, std::nullopt), command.json);
    }
    if (!command.tensors.empty()) return msd::train_on_tensors(command);
    if (command.resume) return resume(command.run_dir, argc, argv);
    return msd::train(command);
  });
}
