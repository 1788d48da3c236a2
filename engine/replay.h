// SPDX-License-Identifier: MIT
#pragma once

#include <functional>

#include "engine/runtime.h"

namespace msd {

/// A sequence of op calls made again and again with the same arguments: on the CPU simply called,
/// on CUDA captured into a graph the first time and launched as one from then on. What changes from
/// run to run must lie in the memory the ops read.
class Replay {
 public:
  Replay() = default;
  /// Borrows runtime; `calls` must neither allocate nor wait, and outlives its captures.
  Replay(Runtime& runtime, std::function<void()> calls)
      : runtime_(&runtime), calls_(std::move(calls)) {}

  void run();

 private:
  Runtime* runtime_ = nullptr;
  std::function<void()> calls_;
  cuda::Graph graph_;
  bool measured_ = false;
};

}  // namespace msd
