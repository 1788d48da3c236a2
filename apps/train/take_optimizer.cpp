// SPDX-License-Identifier: MIT
#include "apps/train/command.h"
#include "kernels/error.h"

namespace msd {

void take_optimizer(const Checkpoint& checkpoint, Network& network, TrainingOptions& training) {
  const StateDict& state = checkpoint.state;
  const std::string file = checkpoint.path.string();
  if (!state.optimizer) {
    throw ConfigError(state.optimizer_problem.empty()
                          ? file + ": has no state of an optimiser; leave --optimizer-state out"
                          : file + ": cannot use its optimiser's state: " +
                                state.optimizer_problem + "; leave --optimizer-state out");
  }
  try {
    training.take(*state.optimizer);
  } catch (const ConfigError& error) {
    throw ConfigError(file + ": " + error.what());
  }
  checkpoint.load_velocities(network);
}

}  // namespace msd
