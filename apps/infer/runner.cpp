// SPDX-License-Identifier: MIT
#include "apps/infer/runner.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

#include "kernels/error.h"

namespace msd {
namespace {

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

  // Null, with the reason, where the image cannot be had.
  const std::uint8_t* load(std::int64_t i, Image& scratch, std::string& reason) const {
    try {
      return samples_.pixels(i, scratch);
    } catch (const IoError& error) {
      reason = error.what();
    } catch (const FormatError& error) {
      reason = error.what();
    } catch (const std::bad_alloc&) {
      reason = "needs more memory than there is";
    }
    return nullptr;
  }

  // Samples are claimed in order: whatever comes before one that throws is finished too.
  void work() noexcept {
    try {
      const std::unique_ptr<Runtime> runtime = settings_.make_runtime();
      EarlyExit classifier(*runtime, plan_, settings_.description, settings_.top);
      classifier.prepare(settings_.rule);
      Image scratch;
      while (!stop_) {
        const std::int64_t i = next_++;
        if (i >= samples_.size()) return;
        Slot filled;
        filled.done = true;
        try {
          if (const std::uint8_t* pixels = load(i, scratch, filled.result.error)) {
            filled.result.answer = classifier.classify(pixels, settings_.rule);
          }
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

std::int64_t run_samples(const Plan& plan, const Samples& samples, const RunSettings& settings,
                         const std::function<void(std::int64_t, const SampleResult&)>& consume) {
  Crew crew(plan, samples, settings);
  for (std::int64_t i = 0; i < samples.size(); ++i) {
    if (settings.stop) return i;
    consume(i, crew.take(i));
  }
  return samples.size();
}

}  // namespace msd
