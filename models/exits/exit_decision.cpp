// SPDX-License-Identifier: MIT
#include "models/exits/exit_decision.h"

#include <numeric>

#include "kernels/check.h"

namespace msd {
namespace {

void require_rule(bool condition, const std::string& otherwise) {
  if (!condition) throw ConfigError(otherwise);
}

std::vector<std::int64_t> first_exits(std::int64_t count) {
  std::vector<std::int64_t> exits(static_cast<std::size_t>(count));
  std::iota(exits.begin(), exits.end(), std::int64_t{0});
  return exits;
}

struct ExitsThatRun {
  std::int64_t exits;

  std::vector<std::int64_t> operator()(const LastExit&) const { return first_exits(exits); }
  std::vector<std::int64_t> operator()(const EveryExit&) const { return first_exits(exits); }
  std::vector<std::int64_t> operator()(const FixedExit& fixed) const {
    require_rule(fixed.exit >= 1 && fixed.exit <= exits,
                 message("exit ", fixed.exit, ": the network has exits 1 to ", exits));
    return {fixed.exit - 1};
  }
  std::vector<std::int64_t> operator()(const Threshold& threshold) const {
    require_rule(threshold.confidence >= 0.0f && threshold.confidence <= 1.0f,
                 message("a threshold of ", threshold.confidence, ": confidences go from 0 to 1"));
    return first_exits(exits);
  }
  std::vector<std::int64_t> operator()(const Thresholds& thresholds) const {
    require_rule(static_cast<std::int64_t>(thresholds.size()) == exits,
                 message(thresholds.size(), " thresholds for a network of ", exits, " exits"));
    for (const float threshold : thresholds) {
      require_rule(threshold >= 0.0f,
                   message("a threshold of ", threshold, ": confidences start at 0"));
    }
    return first_exits(exits);
  }
  std::vector<std::int64_t> operator()(const Deadline& deadline) const {
    require_rule(deadline.microseconds > 0.0,
                 message("a deadline of ", deadline.microseconds, " microseconds is over already"));
    return first_exits(exits);
  }
};

struct Leaves {
  std::int64_t exit;
  float confidence;

  bool operator()(const LastExit&) const { return false; }
  bool operator()(const EveryExit&) const { return false; }
  bool operator()(const FixedExit& fixed) const { return exit + 1 >= fixed.exit; }
  bool operator()(const Threshold& threshold) const { return confidence >= threshold.confidence; }
  bool operator()(const Thresholds& thresholds) const {
    return reaches(thresholds, exit, confidence);
  }
  bool operator()(const Deadline&) const { return false; }
};

}  // namespace

std::vector<std::int64_t> exits_that_run(const ExitRule& rule, std::int64_t exits) {
  return std::visit(ExitsThatRun{exits}, rule);
}

bool leaves(const ExitRule& rule, std::int64_t exit, float confidence) {
  return std::visit(Leaves{exit, confidence}, rule);
}

bool reaches(const Thresholds& thresholds, std::int64_t exit, float confidence) {
  const std::int64_t exits = std::ssize(thresholds);
  MSD_CHECK(exit >= 0 && exit < exits, exits, " thresholds, asked for exit ", exit + 1);
  return exit + 1 == exits || confidence >= thresholds[static_cast<std::size_t>(exit)];
}

}  // namespace msd
