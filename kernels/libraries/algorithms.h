// SPDX-License-Identifier: MIT
// Which algorithm an op runs for a problem. "handwritten", our own kernels (kernels/cuda), is there
// for every op and problem; others come from the plugin (plugin.h). Plain C++, so that its tests
// need no GPU; by_algorithm.h is what the ops' bodies call.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/libraries/algorithm_key.h"
#include "kernels/libraries/plugin.h"

namespace msd::cuda {

inline constexpr std::string_view kHandwritten = "handwritten";

/// The names that exist for an op, kHandwritten first; whether the plugin is there or not.
std::span<const std::string_view> algorithm_names(ChoosableOp op);

struct AlgorithmPolicy {
  enum class Mode : std::uint8_t {
    heuristic,      // `default`: default_algorithm() of each problem
    fastest,        // measured, once for each problem
    deterministic,  // as heuristic, among those that keep every promise of the ops' contracts
    fixed           // the named one where it has a plan for the problem, elsewhere handwritten
  };
  Mode mode = Mode::heuristic;
  std::array<std::string_view, kChoosableOps> fixed = {};  // of each op; empty: handwritten

  /// Whether any problem may get an algorithm of the plugin.
  bool needs_plugin() const;
};

/// default | fastest | deterministic | OP=NAME[,OP=NAME...]. Throws ConfigError for anything else,
/// listing the ops or names that exist.
AlgorithmPolicy parse_algorithm_policy(std::string_view text);

/// The heuristic of `default`, for problems that `deterministic` asks about too.
std::string_view default_algorithm(const AlgorithmKey& key);

/// Measures, and remembers what was measured; see engine/algorithm_cache.h.
class AlgorithmTimes {
 public:
  virtual ~AlgorithmTimes() = default;
  /// The algorithm kept for the problem, or "".
  virtual std::string remembered(const AlgorithmKey& key) = 0;
  virtual void remember(const AlgorithmKey& key, std::string_view algorithm) = 0;
  /// Milliseconds one run() takes. Memory that it writes is as before when this returns. Throws
  /// Error where it fails.
  virtual double measure(const std::function<void()>& run,
                         std::span<const std::span<std::byte>> written) = 0;
};

using Heuristic = std::string_view (*)(const AlgorithmKey& key);

/// Serves one context. Borrows plugin (null: handwritten only) and times (for fastest).
class AlgorithmChooser {
 public:
  using Warn = std::function<void(const std::string&)>;

  /// `warn`, if any, hears why an algorithm asked for by name does not run: of an op each reason
  /// once, with the first problem it holds for.
  AlgorithmChooser(const AlgorithmPolicy& policy, PluginSession* plugin, AlgorithmTimes* times,
                   Heuristic heuristic = default_algorithm, Warn warn = {})
      : policy_(policy),
        plugin_(plugin),
        times_(times),
        heuristic_(heuristic),
        warn_(std::move(warn)) {}

  /// Runs the problem with a candidate, or with the handwritten kernels where that is null.
  using Run = std::function<void(const Candidate*)>;

  /// What was chosen before; nothing for a problem not seen yet, null for handwritten.
  std::optional<const Candidate*> known(const AlgorithmKey& key) const;
  /// Chooses for a problem not seen yet. With `capturing` nothing can be measured: where that would
  /// have to be, it answers handwritten and forgets the problem.
  const Candidate* choose(const AlgorithmKey& key, bool capturing,
                          std::span<const std::span<std::byte>> written, const Run& run);
  /// True where a sequence of ops must be run once before it is captured, to be measured.
  bool wants_run_before_capture() const { return policy_.mode == AlgorithmPolicy::Mode::fastest; }

  PluginSession& plugin() { return *plugin_; }

  struct Choice {
    std::string problem, algorithm;
    std::string why_not;  // of those that were asked and had no plan
  };
  /// Of all problems seen.
  std::vector<Choice> choices() const;

 private:
  struct Chosen {
    const Candidate* candidate = nullptr;
    std::string why_not;
  };
  /// Candidates with a plan that the policy allows; of that name, where there is one.
  std::vector<const Candidate*> offered(const AlgorithmKey& key, std::string_view wanted,
                                        std::string& why_not);
  const Candidate* fastest(const AlgorithmKey& key, const std::vector<const Candidate*>& candidates,
                           std::span<const std::span<std::byte>> written, const Run& run,
                           std::string& why_not);

  void warn_of(const AlgorithmKey& key, std::string_view wanted, const std::string& why_not);

  AlgorithmPolicy policy_;
  PluginSession* plugin_;
  AlgorithmTimes* times_;
  Heuristic heuristic_;
  Warn warn_;
  std::set<std::pair<ChoosableOp, std::string>> warned_;
  std::map<AlgorithmKey, Chosen> chosen_;
};

}  // namespace msd::cuda
