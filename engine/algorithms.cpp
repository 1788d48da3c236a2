// SPDX-License-Identifier: MIT
#include "engine/algorithms.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <vector>

#include "kernels/check.h"

namespace msd {
namespace {

/// To be raised where the handwritten kernels' times change, so that they are measured again.
constexpr int kKernelsRevision = 2;

/// The first line says the driver's version; "" where this system tells none.
std::string driver_version() {
  std::ifstream file("/proc/driver/nvidia/version");
  std::string line;
  std::getline(file, line);
  return line;
}

/// Copies of memory, put back by restore() or when it goes.
class Kept {
 public:
  Kept(cuda::Stream& stream, std::span<const std::span<std::byte>> written) : stream_(stream) {
    for (const std::span<std::byte> memory : written) {
      const auto bytes = static_cast<std::int64_t>(memory.size());
      copies_.push_back({memory.data(), stream.allocate(bytes), bytes});
      stream.copy(copies_.back().copy, memory.data(), bytes);
    }
  }
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;
  ~Kept() {
    for (const Copy& copy : copies_) stream_.release(copy.copy);
  }
  void restore() {
    for (const Copy& copy : copies_) stream_.copy(copy.memory, copy.copy, copy.bytes);
  }

 private:
  struct Copy {
    void *memory, *copy;
    std::int64_t bytes;
  };
  cuda::Stream& stream_;
  std::vector<Copy> copies_;
};

}  // namespace

double StreamTimes::measure(const std::function<void()>& run,
                            std::span<const std::span<std::byte>> written) {
  constexpr int kRuns = 10;  // a launch; one run may be shorter than an event can tell
  std::array<double, 7> times;
  Kept kept(stream_, written);
  try {
    run();  // loads code and settles what is set up once
    const cuda::Graph graph = stream_.capture([&] {
      for (int i = 0; i < kRuns; ++i) run();
    });
    stream_.launch(graph);
    for (double& time : times) {
      time = stream_.time_ms([&] { stream_.launch(graph); }) / kRuns;
    }
  } catch (...) {
    kept.restore();
    throw;
  }
  kept.restore();
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return times[times.size() / 2];
}

Algorithms::Algorithms(const cuda::AlgorithmPolicy& policy, cuda::Stream& stream,
                       const std::string& device_name, const AlgorithmCache::Warn& warn) {
  const bool fastest = policy.mode == cuda::AlgorithmPolicy::Mode::fastest;
  if (policy.needs_plugin()) {
    cuda::FoundPlugin found = cuda::open_plugin();
    try {
      if (found.table != nullptr) {
        plugin_ = std::make_unique<cuda::PluginSession>(*found.table, stream.context().stream);
      }
    } catch (const CudaError& error) {
      found.why_not = error.what();
    }
    if (plugin_ == nullptr && !fastest) {
      throw ConfigError("--algorithms: the plugin with cuDNN is not available: " + found.why_not);
    }
    if (plugin_ == nullptr && warn) {
      warn(
          "--algorithms fastest: only handwritten kernels, as the plugin with cuDNN is not "
          "available: " +
          found.why_not);
    }
  }
  if (fastest && plugin_ != nullptr) {
    const std::string machine = message(device_name, "; ", driver_version(), "; ",
                                        plugin_->libraries(), "; kernels ", kKernelsRevision);
    times_ = std::make_unique<StreamTimes>(stream,
                                           AlgorithmCache(algorithm_cache_path(), machine, warn));
  }
  chooser_ = std::make_unique<cuda::AlgorithmChooser>(policy, plugin_.get(), times_.get(),
                                                      cuda::default_algorithm, warn);
}

}  // namespace msd
