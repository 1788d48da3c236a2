// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "apps/infer/samples.h"
#include "models/inference/early_exit.h"

namespace msd {

/// How samples are classified; references outlive the run.
struct RunSettings {
  const ExitRule& rule;
  const DataDescription& description;
  int top = 5;
  int workers = 1;
  /// Of one thread; called on a worker's own.
  std::function<std::unique_ptr<Runtime>()> make_runtime;
  /// Set where no further sample shall be consumed.
  const std::atomic<bool>& stop;
};

/// What became of a sample.
struct SampleResult {
  Classification answer;
  std::string error;  // why there is none; else empty
};

/// Classifies all samples at batch 1, `workers` at a time, each worker with a runtime of its own.
/// Calls `consume` in the order of the samples, on the calling thread. A sample whose image cannot
/// be had (IoError, FormatError or bad_alloc of Samples::pixels) is consumed with its error. What
/// else is thrown ends the run: it is rethrown when its turn comes, and nothing after it is
/// consumed. Returns how many were.
std::int64_t run_samples(const Plan& plan, const Samples& samples, const RunSettings& settings,
                         const std::function<void(std::int64_t, const SampleResult&)>& consume);

}  // namespace msd
