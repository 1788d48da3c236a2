// SPDX-License-Identifier: MIT
#include "models/weights/deduce_widths.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace msd {
namespace {

struct Transition {
  std::int64_t before = 0, after = 0;  // widths, in units of the growth factors
};

struct Reduction {
  double value = 0.0;
  int decimals = 0;  // -1: the paper's 0.5
};

bool explains(double reduction, const std::vector<Transition>& transitions) {
  return std::all_of(transitions.begin(), transitions.end(), [&](const Transition& t) {
    return std::floor(reduction * static_cast<double>(t.before)) == static_cast<double>(t.after);
  });
}

// The reduction of the fewest decimals that explains all transitions.
std::optional<Reduction> roundest_reduction(const std::vector<Transition>& transitions) {
  if (explains(0.5, transitions)) return Reduction{0.5, -1};
  // floor(r*before) = after bounds r on both sides. The product is rounded, so r may lie a little
  // outside; explains() has the last word.
  constexpr double kSlack = 1e-12;
  double low = 0.0, high = 1.0;
  for (const Transition& t : transitions) {
    const auto before = static_cast<double>(t.before), after = static_cast<double>(t.after);
    low = std::max(low, after / before - kSlack);
    high = std::min(high, (after + 1.0) / before + kSlack);
  }
  constexpr int kDecimals = 15, kTries = 1000;  // what a double can tell apart; 1 of 10 mostly does
  double power = 1.0;
  for (int decimals = 0; decimals <= kDecimals; ++decimals, power *= 10.0) {
    double digits = std::max(1.0, std::ceil(low * power));
    for (int i = 0; i < kTries && digits <= high * power; ++i, digits += 1.0) {
      if (explains(digits / power, transitions)) return Reduction{digits / power, decimals};
    }
  }
  return std::nullopt;
}

// New channels of a layer at scale j of those it writes.
std::int64_t new_channels(const StateShapes& shapes, const StateLayer& layer, std::int64_t j,
                          bool bottleneck) {
  const int conv = bottleneck ? 3 : 0;
  std::int64_t channels = conv_shape(shapes, layer.branch(j, "conv_normal"), conv)[0];
  const std::string down = layer.branch(j, "conv_down");
  if (any_below(shapes, down)) channels += conv_shape(shapes, down, conv)[0];
  return channels;
}

// In units of growth factors that have no common divisor.
struct Widths {
  std::int64_t init = 1, growth = 1;
  std::vector<std::int64_t> factors;
  std::vector<Transition> transitions;
};

Widths read_widths(const StateShapes& shapes, const StateStructure& structure, bool bottleneck) {
  Widths w;
  for (std::int64_t scale = 0; scale < structure.scales; ++scale) {
    const bool imagenet_first = scale == 0 && structure.input_kind == InputKind::imagenet;
    const std::string at = "blocks.0.0.layers." + std::to_string(scale);
    w.factors.push_back(conv_shape(shapes, at + (imagenet_first ? "." : ".net."), 0)[0]);
  }
  w.init = std::accumulate(w.factors.begin(), w.factors.end(), std::int64_t{0},
                           std::gcd<std::int64_t, std::int64_t>);
  for (std::int64_t& factor : w.factors) factor /= w.init;
  // Every layer writes the coarsest scale.
  const std::int64_t coarsest = w.factors.back();
  const StateLayer& first = structure.layers.front();
  w.growth = std::max<std::int64_t>(
      1, new_channels(shapes, first, first.scales - 1, bottleneck) / coarsest);
  std::int64_t width = w.init;
  for (const StateLayer& layer : structure.layers) {
    width += w.growth;
    if (layer.transition.empty()) continue;
    const std::string net = layer.transition + "m." + std::to_string(layer.scales - 1) + ".net.";
    const std::int64_t after = std::max<std::int64_t>(1, conv_shape(shapes, net, 0)[0] / coarsest);
    w.transitions.push_back({width, after});
    width = after;
  }
  return w;
}

// The same network with every factor `times` as large, and widths in units of that; nothing where
// they are no whole numbers or out of range.
std::optional<Widths> scaled(Widths w, std::int64_t times) {
  bool fits = w.init % times == 0 && w.growth % times == 0;
  w.init /= times;
  w.growth /= times;
  fits = fits && w.init <= MsdnetConfig::kLargestChannels &&
         w.growth <= MsdnetConfig::kLargestChannels;
  for (std::int64_t& factor : w.factors) {
    factor *= times;
    fits = fits && factor <= MsdnetConfig::kLargestFactor;
  }
  for (Transition& t : w.transitions) {
    fits = fits && t.before % times == 0 && t.after % times == 0;
    t = {t.before / times, t.after / times};
  }
  return fits ? std::optional(w) : std::nullopt;
}

template <typename T>
bool agrees(const std::optional<T>& hint, const T& value) {
  return !hint.has_value() || *hint == value;
}

}  // namespace

void deduce_bottleneck(const StateShapes& shapes, const StateStructure& structure,
                       MsdnetConfig& config) {
  const StateLayer& first = structure.layers.front();
  config.bottleneck = any_below(shapes, first.branch(first.scales - 1, "conv_normal") + "3.");
  const auto scales = static_cast<std::size_t>(structure.scales);
  config.bottleneck_factors.assign(scales, 1);
  if (!config.bottleneck) return;
  // A 1x1 has min(inputs, factor*outputs) channels: the factor, or a bound from below.
  std::vector<std::int64_t> exact(scales, 0), at_least(scales, 1);
  const auto look = [&](const std::string& branch, std::int64_t from) {
    if (from < 0 || !any_below(shapes, branch)) return;
    const std::vector<std::int64_t>& reduce = conv_shape(shapes, branch, 0);
    const std::int64_t outputs = conv_shape(shapes, branch, 3)[0];
    const auto scale = static_cast<std::size_t>(from);
    if (reduce[0] == reduce[1]) {
      at_least[scale] = std::max(at_least[scale], (reduce[1] + outputs - 1) / outputs);
    } else if (exact[scale] == 0) {
      exact[scale] = std::max<std::int64_t>(1, reduce[0] / outputs);
    }
  };
  for (const StateLayer& layer : structure.layers) {
    for (std::int64_t j = 0; j < layer.scales; ++j) {
      const std::int64_t scale = structure.scales - layer.scales + j;
      look(layer.branch(j, "conv_down"), scale - 1);
      look(layer.branch(j, "conv_normal"), scale);
    }
  }
  for (std::size_t scale = 0; scale < scales; ++scale) {
    config.bottleneck_factors[scale] = exact[scale] > 0 ? exact[scale] : at_least[scale];
  }
}

void deduce_widths(const StateShapes& shapes, const StateStructure& structure,
                   const ConfigHints& hints, MsdnetConfig& config) {
  const Widths w = read_widths(shapes, structure, config.bottleneck);
  const auto take = [&](const Widths& widths) {
    config.init_channels = widths.init;
    config.growth_rate = widths.growth;
    config.growth_factors = widths.factors;
  };
  take(w);
  const auto init_channels = hints.get(&MsdnetConfig::init_channels),
             growth_rate = hints.get(&MsdnetConfig::growth_rate);
  const auto growth_factors = hints.get(&MsdnetConfig::growth_factors);
  const auto decided_reduction = hints.get(&MsdnetConfig::reduction);
  // Only transitions tell factors of a common divisor from smaller ones, by what they round off.
  std::optional<Reduction> best;
  for (std::int64_t times = 1; times <= std::min(w.growth, MsdnetConfig::kLargestFactor); ++times) {
    const std::optional<Widths> widths = scaled(w, times);
    if (!widths.has_value() || !agrees(init_channels, widths->init) ||
        !agrees(growth_rate, widths->growth) || !agrees(growth_factors, widths->factors)) {
      continue;
    }
    if (w.transitions.empty()) return take(*widths);
    std::optional<Reduction> reduction;
    if (!decided_reduction.has_value()) {
      reduction = roundest_reduction(widths->transitions);
    } else if (explains(*decided_reduction, widths->transitions)) {
      reduction = Reduction{*decided_reduction};
    }
    if (!reduction.has_value() || (best && best->decimals <= reduction->decimals)) continue;
    best = reduction;
    take(*widths);
    config.reduction = reduction->value;
  }
}

}  // namespace msd
