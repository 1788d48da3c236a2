// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>

#include "engine/algorithm_cache.h"
#include "kernels/cuda/device/stream.h"
#include "kernels/libraries/algorithms.h"

namespace msd {

/// Takes times on a stream and keeps what they decided.
class StreamTimes : public cuda::AlgorithmTimes {
 public:
  StreamTimes(cuda::Stream& stream, AlgorithmCache cache)
      : stream_(stream), cache_(std::move(cache)) {}

  std::string remembered(const cuda::AlgorithmKey& problem) override {
    return cache_.find(text(problem));
  }
  void remember(const cuda::AlgorithmKey& problem, std::string_view algorithm) override {
    cache_.keep(text(problem), algorithm);
  }
  /// The median over launches of a graph of several runs: as in a network, where graphs hide what
  /// submitting costs. What can't be captured throws.
  double measure(const std::function<void()>& run,
                 std::span<const std::span<std::byte>> written) override;

 private:
  cuda::Stream& stream_;
  AlgorithmCache cache_;
};

/// The choice of algorithms on one stream by a policy that is not always the handwritten kernels:
/// the plugin at work there, its times, and the chooser.
class Algorithms {
 public:
  /// Where the plugin can't be used: throws ConfigError if the policy names an algorithm of its; if
  /// it is `fastest`, warns, and everything stays handwritten. Keeps `warn` for what the chooser
  /// has to say.
  Algorithms(const cuda::AlgorithmPolicy& policy, cuda::Stream& stream,
             const std::string& device_name, const AlgorithmCache::Warn& warn);
  cuda::AlgorithmChooser& chooser() { return *chooser_; }

 private:
  std::unique_ptr<cuda::PluginSession> plugin_;
  std::unique_ptr<StreamTimes> times_;
  std::unique_ptr<cuda::AlgorithmChooser> chooser_;
};

}  // namespace msd
