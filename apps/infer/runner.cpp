// SPDX-License-Identifier: MIT
#include "apps/infer/runner.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "apps/common/quantile.h"

namespace msd {
namespace {

using Clock = std::chrono::steady_clock;
using Kind = ExitRule::Kind;

double microseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

// How long each stage is expected to take: the median of its last runs.
class StageTimes {
 public:
  explicit StageTimes(std::int64_t stages) : times_(static_cast<std::size_t>(stages)) {}
  void add(std::int64_t stage, double microseconds) {
    Ring& ring = times_[static_cast<std::size_t>(stage)];
    if (ring.values.size() < kKept) {
      ring.values.push_back(microseconds);
    } else {
      ring.values[ring.next++ % kKept] = microseconds;
    }
  }
  double expected(std::int64_t stage) const {
    return quantile(times_[static_cast<std::size_t>(stage)].values, 0.5);
  }

 private:
  static constexpr std::size_t kKept = 101;
  struct Ring {
    std::vector<double> values;
    std::size_t next = 0;
  };
  std::vector<Ring> times_;
};

// One thread's share of the work.
class Worker {
 public:
  Worker(const Plan& plan, const RunSettings& settings)
      : plan_(plan),
        settings_(settings),
        runtime_(1, settings.device),
        session_(runtime_, plan, settings.description),
        times_(plan.stages()) {
    settings.precision.apply(runtime_);
    settings.execution.apply(runtime_);
    if (settings.rule.kind == Kind::deadline) warm_up();
  }

  SampleResult classify(const std::uint8_t* pixels) {
    const auto start = Clock::now();
    session_.load(pixels);
    SampleResult result;
    for (std::int64_t stage = 0; stage < plan_.stages(); ++stage) {
      if (too_late(stage, start)) break;
      result.final = run_stage(stage, start);
      if (settings_.rule.kind == Kind::all) result.exits.push_back(result.final);
      if (leaves(stage, result.final.answer)) break;
    }
    return result;
  }

 private:
  // A deadline needs times to expect from before the first sample; caches warm in the first pass.
  void warm_up() {
    const std::int64_t size = plan_.architecture().config.image_size;
    const std::vector<std::uint8_t> grey(static_cast<std::size_t>(size * size * 3), 128);
    for (int pass = 0; pass < 6; ++pass) {
      if (pass == 1) times_ = StageTimes(plan_.stages());
      session_.load(grey.data());
      for (std::int64_t stage = 0; stage < plan_.stages(); ++stage) run_stage(stage, Clock::now());
    }
  }

  Outcome run_stage(std::int64_t stage, Clock::time_point start) {
    const auto stage_start = Clock::now();
    Outcome outcome;
    outcome.answer = session_.run_stage(stage);
    outcome.exit = plan_.exits()[static_cast<std::size_t>(stage)];
    outcome.classes = session_.likeliest(settings_.top);
    outcome.mul_adds = session_.executed_mul_adds();
    outcome.microseconds = microseconds_since(start);
    if (settings_.rule.kind == Kind::deadline) times_.add(stage, microseconds_since(stage_start));
    return outcome;
  }

  bool too_late(std::int64_t stage, Clock::time_point start) const {
    return settings_.rule.kind == Kind::deadline && stage > 0 &&
           microseconds_since(start) + times_.expected(stage) > settings_.rule.deadline_us;
  }

  bool leaves(std::int64_t stage, const ExitAnswer& answer) const {
    return settings_.rule.kind == Kind::thresholds &&
           answer.confidence >= settings_.rule.thresholds[static_cast<std::size_t>(stage)];
  }

  const Plan& plan_;
  const RunSettings& settings_;
  Runtime runtime_;
  ImageSession session_;
  StageTimes times_;
};

// A sample's place between the worker that fills it and the caller who takes it.
struct Slot {
  bool done = false;
  SampleResult result;
  std::exception_ptr error;
};

class Crew {
 public:
  Crew(const Plan& plan, const Samples& samples, const RunSettings& settings)
      : plan_(plan),
        samples_(samples),
        settings_(settings),
        slots_(static_cast<std::size_t>(samples.size())) {
    const auto count = std::min<std::int64_t>(settings.workers, samples.size());
    try {
      for (std::int64_t i = 0; i < count; ++i) threads_.emplace_back([this] { work(); });
    } catch (...) {
      stop();
      throw;
    }
  }
  ~Crew() { stop(); }
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  SampleResult take(std::int64_t i) {
    Slot& slot = slots_[static_cast<std::size_t>(i)];
    std::unique_lock lock(mutex_);
    done_.wait(lock, [&] { return slot.done || broken_ != nullptr; });
    if (!slot.done) std::rethrow_exception(broken_);
    if (slot.error != nullptr) std::rethrow_exception(slot.error);
    return std::move(slot.result);
  }

 private:
  void stop() noexcept {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
  }

  // Samples are claimed in order: whatever comes before one that throws is finished too.
  void work() noexcept {
    try {
      Worker worker(plan_, settings_);
      Image scratch;
      while (!stop_) {
        const std::int64_t i = next_++;
        if (i >= samples_.size()) return;
        Slot filled;
        filled.done = true;
        try {
          filled.result = worker.classify(samples_.pixels(i, scratch));
        } catch (...) {
          filled.error = std::current_exception();
          stop_ = true;
        }
        const std::lock_guard lock(mutex_);
        slots_[static_cast<std::size_t>(i)] = std::move(filled);
        done_.notify_one();
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      broken_ = std::current_exception();
      done_.notify_one();
    }
  }

  const Plan& plan_;
  const Samples& samples_;
  const RunSettings& settings_;
  std::atomic<bool> stop_ = false;
  std::atomic<std::int64_t> next_ = 0;
  std::mutex mutex_;  // guards slots_ and broken_
  std::condition_variable done_;
  std::vector<Slot> slots_;
  std::exception_ptr broken_;  // a worker could not start
  std::vector<std::thread> threads_;
};

}  // namespace

void run_samples(const Plan& plan, const Samples& samples, const RunSettings& settings,
                 const std::function<void(std::int64_t, const SampleResult&)>& consume) {
  Crew crew(plan, samples, settings);
  for (std::int64_t i = 0; i < samples.size(); ++i) consume(i, crew.take(i));
}

}  // namespace msd
