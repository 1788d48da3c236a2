// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "apps/common/image_session.h"
#include "apps/common/precision.h"
#include "apps/common/runtime_options.h"
#include "apps/infer/exit_rule.h"
#include "apps/infer/samples.h"

namespace msd {

/// What an exit answers, and what it has cost to get there.
struct Outcome {
  std::int64_t exit = 0;  // from 0
  ExitAnswer answer;
  std::vector<ClassProbability> classes;
  std::int64_t mul_adds = 0;  // executed
  double microseconds = 0.0;  // since the decoded image was there
};

struct SampleResult {
  Outcome final;
  std::vector<Outcome> exits;  // every exit's, where the rule asks for them
};

struct RunSettings {
  const ExitRule& rule;
  const DataDescription& description;
  const PrecisionOption& precision;
  int top = 5;
  int workers = 1;
  DeviceSpec device;
  const RuntimeOptions& execution;
};

/// Classifies all samples at batch 1, `workers` at a time, each worker with a runtime of one thread
/// of its own. Calls `consume` in the order of the samples, on the calling thread. A sample that
/// throws is rethrown when its turn comes, and nothing after it is consumed.
void run_samples(const Plan& plan, const Samples& samples, const RunSettings& settings,
                 const std::function<void(std::int64_t, const SampleResult&)>& consume);

}  // namespace msd
