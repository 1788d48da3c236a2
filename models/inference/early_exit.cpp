// SPDX-License-Identifier: MIT
#include "models/inference/early_exit.h"

#include "models/exits/exit_decision.h"

namespace msd {
namespace {

double microseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start)
      .count();
}

}  // namespace

EarlyExit::EarlyExit(Runtime& runtime, const Plan& plan, const DataDescription& description,
                     int top)
    : plan_(plan), session_(runtime, plan, description), top_(top), times_(plan.stages()) {}

Classification EarlyExit::classify(const std::uint8_t* pixels, const ExitRule& rule) {
  prepare(rule);
  const auto* deadline = std::get_if<Deadline>(&rule);
  const bool keep_all = std::holds_alternative<EveryExit>(rule);
  const auto start = Clock::now();
  session_.load(pixels);
  Classification result;
  for (std::int64_t stage = 0; stage < plan_.stages(); ++stage) {
    if (deadline != nullptr && too_late(stage, start, deadline->microseconds)) break;
    result.final = run_stage(stage, start);
    if (keep_all) result.exits.push_back(result.final);
    if (leaves(rule, result.final.exit, result.final.answer.confidence)) break;
  }
  return result;
}

void EarlyExit::prepare(const ExitRule& rule) {
  if (keeps_times_ || !std::holds_alternative<Deadline>(rule)) return;
  keeps_times_ = true;
  constexpr int kPasses = 6;
  const std::int64_t size = plan_.architecture().config.image_size;
  const std::vector<std::uint8_t> grey(static_cast<std::size_t>(size * size * 3), 128);
  for (int pass = 0; pass < kPasses; ++pass) {
    if (pass == 1) times_ = StageTimes(plan_.stages());
    session_.load(grey.data());
    for (std::int64_t stage = 0; stage < plan_.stages(); ++stage) run_stage(stage, Clock::now());
  }
}

Outcome EarlyExit::run_stage(std::int64_t stage, Clock::time_point start) {
  const auto stage_start = Clock::now();
  Outcome outcome;
  outcome.answer = session_.run_stage(stage);
  outcome.exit = plan_.exits()[static_cast<std::size_t>(stage)];
  outcome.classes = session_.likeliest(top_);
  outcome.mul_adds = session_.executed_mul_adds();
  outcome.microseconds = microseconds_since(start);
  if (keeps_times_) times_.add(stage, microseconds_since(stage_start));
  return outcome;
}

bool EarlyExit::too_late(std::int64_t stage, Clock::time_point start, double deadline_us) const {
  return stage > 0 && microseconds_since(start) + times_.expected(stage) > deadline_us;
}

}  // namespace msd
