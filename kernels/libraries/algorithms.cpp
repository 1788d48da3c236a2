// SPDX-License-Identifier: MIT
#include "kernels/libraries/algorithms.h"

#include <algorithm>

#include "kernels/check.h"

namespace msd::cuda {
namespace {

constexpr std::string_view kOpNames[kChoosableOps] = {
    "conv_forward",       "conv_backward_data", "conv_backward_weight", "batchnorm_forward",
    "batchnorm_backward", "linear_forward",     "linear_backward"};
constexpr std::string_view kConvNames[] = {kHandwritten, "cudnn", "cublaslt"};
constexpr std::string_view kNormNames[] = {kHandwritten, "cudnn"};
constexpr std::string_view kLinearNames[] = {kHandwritten, "cublaslt"};

template <typename Names>
std::string listed(const Names& names) {
  std::string list;
  for (const std::string_view each : names) list += (list.empty() ? "" : ", ") + std::string(each);
  return list;
}

std::string_view next_part(std::string_view& text) {
  const std::size_t comma = std::min(text.find(','), text.size());
  const std::string_view part = text.substr(0, comma);
  text.remove_prefix(std::min(comma + 1, text.size()));
  return part;
}

/// What the op's contract promises and deterministic keeps to. Only inference's ops promise to be
/// batch-invariant; the others sum over the batch.
bool keeps_promises(const Candidate& candidate) {
  const bool sums_over_batch = candidate.op == ChoosableOp::conv_backward_weight ||
                               candidate.op == ChoosableOp::batchnorm_forward ||
                               candidate.op == ChoosableOp::batchnorm_backward ||
                               candidate.op == ChoosableOp::linear_backward;
  return candidate.repeatable && (candidate.batch_invariant || sums_over_batch);
}

}  // namespace

std::string_view name(ChoosableOp op) { return kOpNames[static_cast<std::size_t>(op)]; }

std::string text(const AlgorithmKey& p) {
  const auto layout = [](const OperandLayout& l) {
    return message(l.pitch, "@", l.alignment_bytes);
  };
  return message(name(p.op), ' ', name(p.dtype), ' ', p.n, 'x', p.h, 'x', p.w, " to ", p.out_h, 'x',
                 p.out_w, ' ', p.cin, '>', p.cout, " k", p.kernel, " s", p.stride, " p", p.padding,
                 " x ", layout(p.x), " y ", layout(p.y), " dx ", layout(p.dx), " w @",
                 p.weight_alignment_bytes, p.bias ? " bias" : "", p.relu ? " relu" : "",
                 p.accumulate ? " accumulate" : "", p.tf32 ? " tf32" : "",
                 p.overlap ? " overlap" : "", p.statistics ? " statistics" : "");
}

std::span<const std::string_view> algorithm_names(ChoosableOp op) {
  switch (op) {
    case ChoosableOp::batchnorm_forward:
    case ChoosableOp::batchnorm_backward:
      return kNormNames;
    case ChoosableOp::linear_forward:
    case ChoosableOp::linear_backward:
      return kLinearNames;
    default:
      return kConvNames;
  }
}

bool AlgorithmPolicy::needs_plugin() const {
  if (mode == Mode::fastest) return true;
  return mode == Mode::fixed &&
         std::any_of(fixed.begin(), fixed.end(), [](std::string_view algorithm) {
           return !algorithm.empty() && algorithm != kHandwritten;
         });
}

AlgorithmPolicy parse_algorithm_policy(std::string_view text) {
  AlgorithmPolicy policy;
  if (text == "default") return policy;
  if (text == "fastest") return {AlgorithmPolicy::Mode::fastest, {}};
  if (text == "deterministic") return {AlgorithmPolicy::Mode::deterministic, {}};
  policy.mode = AlgorithmPolicy::Mode::fixed;
  std::string_view rest = text;
  do {
    const std::string_view part = next_part(rest);
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos) {
      throw ConfigError(message("--algorithms ", text,
                                ": use default, fastest, deterministic or OP=NAME[,OP=NAME...]"));
    }
    const std::string_view op_name = part.substr(0, equals), wanted = part.substr(equals + 1);
    const auto* op = std::find(std::begin(kOpNames), std::end(kOpNames), op_name);
    if (op == std::end(kOpNames)) {
      throw ConfigError(message("--algorithms ", text, ": no choice for op '", op_name, "'; ",
                                listed(kOpNames), " have one"));
    }
    const auto index = static_cast<std::size_t>(op - std::begin(kOpNames));
    const auto names = algorithm_names(static_cast<ChoosableOp>(index));
    const auto algorithm = std::find(names.begin(), names.end(), wanted);
    if (algorithm == names.end()) {
      throw ConfigError(message("--algorithms ", text, ": ", op_name, " has no algorithm '", wanted,
                                "'; it has ", listed(names)));
    }
    if (!policy.fixed[index].empty()) {
      throw ConfigError(message("--algorithms ", text, ": ", op_name, " is named twice"));
    }
    policy.fixed[index] = *algorithm;
  } while (!rest.empty());
  return policy;
}

// Handwritten throughout: it fuses what MSDNet needs (slices, prefixes, ReLU, one launch for a
// scale's branches), and no measurement says yet where a library would win. A rule that sends some
// shapes elsewhere belongs here, with its measurement beside it.
std::string_view default_algorithm(const AlgorithmKey&) { return kHandwritten; }

std::optional<const Candidate*> AlgorithmChooser::known(const AlgorithmKey& key) const {
  const auto found = chosen_.find(key);
  if (found == chosen_.end()) return std::nullopt;
  return found->second.candidate;
}

std::vector<const Candidate*> AlgorithmChooser::offered(const AlgorithmKey& key,
                                                        std::string_view wanted,
                                                        std::string& why_not) {
  std::vector<const Candidate*> candidates;
  if (plugin_ == nullptr || wanted == kHandwritten) return candidates;
  for (const Candidate& candidate : plugin_->candidates()) {
    if (candidate.op != key.op) continue;
    if (!wanted.empty() && candidate.algorithm != wanted) continue;
    if (policy_.mode == AlgorithmPolicy::Mode::deterministic && !keeps_promises(candidate)) {
      continue;
    }
    std::string reason;
    if (plugin_->prepare(candidate, key, reason)) {
      candidates.push_back(&candidate);
    } else {
      why_not += message(why_not.empty() ? "" : "; ", candidate.algorithm, ": ", reason);
    }
  }
  return candidates;
}

const Candidate* AlgorithmChooser::fastest(const AlgorithmKey& key,
                                           const std::vector<const Candidate*>& candidates,
                                           std::span<const std::span<std::byte>> written,
                                           const Run& run, std::string& why_not) {
  const std::string remembered = times_->remembered(key);
  if (remembered == kHandwritten) return nullptr;
  for (const Candidate* candidate : candidates) {
    if (candidate->algorithm == remembered) return candidate;
  }
  const Candidate* best = nullptr;
  double best_ms = times_->measure([&] { run(nullptr); }, written);
  for (const Candidate* candidate : candidates) {
    try {
      const double ms = times_->measure([&] { run(candidate); }, written);
      if (ms < best_ms) best = candidate, best_ms = ms;
    } catch (const Error& error) {  // has a plan but can't run, or can't be captured
      why_not += message(why_not.empty() ? "" : "; ", candidate->algorithm, ": ", error.what());
    }
  }
  times_->remember(key, best == nullptr ? kHandwritten : std::string_view(best->algorithm));
  return best;
}

void AlgorithmChooser::warn_of(const AlgorithmKey& key, std::string_view wanted,
                               const std::string& why_not) {
  if (!warn_ || !warned_.emplace(key.op, why_not).second) return;
  warn_(message("--algorithms ", name(key.op), '=', wanted, ": handwritten for ", text(key),
                " and maybe others, as ", why_not));
}

const Candidate* AlgorithmChooser::choose(const AlgorithmKey& key, bool capturing,
                                          std::span<const std::span<std::byte>> written,
                                          const Run& run) {
  using Mode = AlgorithmPolicy::Mode;
  std::string_view wanted;  // any
  if (policy_.mode == Mode::fixed) {
    wanted = policy_.fixed[static_cast<std::size_t>(key.op)];
    if (wanted.empty()) wanted = kHandwritten;
  } else if (policy_.mode != Mode::fastest) {
    wanted = heuristic_(key);
  }
  Chosen chosen;
  const std::vector<const Candidate*> candidates = offered(key, wanted, chosen.why_not);
  if (policy_.mode == Mode::fastest && !candidates.empty()) {
    if (capturing) return nullptr;
    chosen.candidate = fastest(key, candidates, written, run, chosen.why_not);
  } else if (!candidates.empty()) {
    chosen.candidate = candidates.front();
  } else if (policy_.mode == Mode::fixed && wanted != kHandwritten) {
    if (chosen.why_not.empty()) chosen.why_not = message("no ", wanted, " in the plugin");
    warn_of(key, wanted, chosen.why_not);
  }
  const Candidate* candidate = chosen.candidate;
  chosen_.emplace(key, std::move(chosen));
  return candidate;
}

std::vector<AlgorithmChooser::Choice> AlgorithmChooser::choices() const {
  std::vector<Choice> all;
  for (const auto& [key, chosen] : chosen_) {
    all.push_back({text(key),
                   chosen.candidate == nullptr ? std::string(kHandwritten)
                                               : std::string(chosen.candidate->algorithm),
                   chosen.why_not});
  }
  return all;
}

}  // namespace msd::cuda
