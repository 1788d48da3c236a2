// SPDX-License-Identifier: MIT
#include "engine/replay.h"

#include "kernels/cuda/device/context.h"
#include "kernels/libraries/algorithms.h"

namespace msd {

void Replay::run() {
  cuda::Stream* stream = runtime_->stream();
  if (stream == nullptr || stream->context().blocking) {
    calls_();
    return;
  }
  // Algorithms are measured in a run of their own, as nothing can be within a capture.
  const cuda::AlgorithmChooser* chooser = stream->context().algorithms;
  if (!graph_ && !measured_ && chooser != nullptr && chooser->wants_run_before_capture()) {
    measured_ = true;
    calls_();
    return;
  }
  if (!graph_) graph_ = stream->capture(calls_);
  stream->launch(graph_);
}

}  // namespace msd
