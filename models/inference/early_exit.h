// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "models/exits/exit_rule.h"
#include "models/inference/image_session.h"
#include "models/inference/latency.h"

namespace msd {

/// What an exit answers, and what it has cost to get there.
struct Outcome {
  std::int64_t exit = 0;  // from 0
  ExitAnswer answer;
  std::vector<ClassProbability> classes;  // the likeliest, the answer first
  std::int64_t mul_adds = 0;              // executed
  double microseconds = 0.0;              // since the image was there in the network's size
};

/// How an image left the network.
struct Classification {
  Outcome final;
  std::vector<Outcome> exits;  // of EveryExit: what each said, the final one too
};

/// Classifies images one by one, each as far through a plan as a rule says. Not thread-safe; one a
/// thread may share the plan.
class EarlyExit {
 public:
  /// Borrows runtime and plan. top: classes an outcome names, up to ImageSession::kTop.
  EarlyExit(Runtime& runtime, const Plan& plan, const DataDescription& description,
            int top = ImageSession::kTop);

  /// pixels: [size][size][3] of the network's input size. The plan is for exits_that_run(rule), or
  /// for all exits.
  Classification classify(const std::uint8_t* pixels, const ExitRule& rule);

  /// Does what the first image under this rule would otherwise wait for: a deadline needs times to
  /// expect, from five passes over a grey image after one that warms the caches.
  void prepare(const ExitRule& rule);

 private:
  using Clock = std::chrono::steady_clock;

  Outcome run_stage(std::int64_t stage, Clock::time_point start);
  bool too_late(std::int64_t stage, Clock::time_point start, double deadline_us) const;

  const Plan& plan_;
  ImageSession session_;
  int top_;
  StageTimes times_;
  bool keeps_times_ = false;  // since the first deadline
};

}  // namespace msd
