// SPDX-License-Identifier: MIT
#include "engine/replay.h"

#include "kernels/cuda/context.h"

namespace msd {

void Replay::run() {
  cuda::Stream* stream = runtime_->stream();
  if (stream == nullptr || stream->context().blocking) {
    calls_();
    return;
  }
  if (!graph_) graph_ = stream->capture(calls_);
  stream->launch(graph_);
}

}  // namespace msd
