// SPDX-License-Identifier: MIT
#include "models/training/training_step.h"

namespace msd {

TrainingStep::TrainingStep(Runtime& runtime, Network& network, std::int64_t batch,
                           const std::vector<double>& exit_weights, DType activations, Sgd& sgd,
                           DeviceExitCounter& counter)
    : graph_(runtime, network, batch, exit_weights, activations), counter_(counter) {
  for (std::int64_t exit = 0; exit < graph_.exits(); ++exit) {
    logits_.push_back(graph_.logits(exit));
  }
  const CountExitsArgs count = counter.call(logits_, graph_.labels());
  replay_ = Replay(runtime, [this, &runtime, &sgd, count] {
    graph_.run_ops();
    sgd.step();
    count_exits(runtime.context(), {&count, 1});
  });
}

void TrainingStep::run() {
  const cuda::ProfilerRange range("training step");
  replay_.run();
  graph_.count_batch();
  counter_.add_samples(graph_.batch());
}

}  // namespace msd
