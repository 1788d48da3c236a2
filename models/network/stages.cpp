// SPDX-License-Identifier: MIT
#include "models/network/stages.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "kernels/check.h"

namespace msd {
namespace {

// Of channels of one buffer.
bool intersects(const Feature& a, const Feature& b) {
  return a.first < b.first + b.channels && b.first < a.first + a.channels;
}
bool covers(const Feature& a, const Feature& b) {
  return a.first <= b.first && a.first + a.channels >= b.first + b.channels;
}

}  // namespace

std::vector<std::int64_t> all_exits(const Architecture& net) {
  std::vector<std::int64_t> exits(static_cast<std::size_t>(net.exits()));
  std::iota(exits.begin(), exits.end(), std::int64_t{0});
  return exits;
}

void check_exits(const Architecture& net, const std::vector<std::int64_t>& exits) {
  const bool rising =
      std::adjacent_find(exits.begin(), exits.end(), std::greater_equal<>()) == exits.end();
  MSD_CHECK(!exits.empty() && rising && exits[0] >= 0 && exits.back() < net.exits(),
            "exits that are not rising or not among the ", net.exits(), " of the network");
}

std::vector<bool> required_operations(const Architecture& net,
                                      const std::vector<std::int64_t>& exits) {
  std::vector<std::vector<Feature>> wanted(net.buffers.size());  // a buffer
  // Backwards, a buffer's first reader reads the most of it: the lists stay short.
  const auto want = [&](const Feature& feature) {
    std::vector<Feature>& of = wanted[static_cast<std::size_t>(feature.buffer)];
    if (std::none_of(of.begin(), of.end(), [&](const Feature& f) { return covers(f, feature); })) {
      of.push_back(feature);
    }
  };
  for (const std::int64_t exit : exits) want(net.logits.at(static_cast<std::size_t>(exit)));
  std::vector<bool> required(net.operations.size(), false);
  for (std::size_t i = net.operations.size(); i-- > 0;) {
    const Operation& op = net.operations[i];
    const std::vector<Feature>& of = wanted[static_cast<std::size_t>(op.output.buffer)];
    const auto reads = [&](const Feature& feature) { return intersects(feature, op.output); };
    if (std::none_of(of.begin(), of.end(), reads)) continue;
    required[i] = true;
    want(op.input);
  }
  return required;
}

std::vector<std::vector<std::size_t>> stages(const Architecture& net,
                                             const std::vector<std::int64_t>& exits) {
  std::vector<std::vector<std::size_t>> cut;
  std::vector<bool> done(net.operations.size(), false);
  std::vector<std::int64_t> so_far;
  for (const std::int64_t exit : exits) {
    so_far.push_back(exit);
    const std::vector<bool> required = required_operations(net, so_far);
    std::vector<std::size_t>& stage = cut.emplace_back();
    for (std::size_t i = 0; i < required.size(); ++i) {
      if (required[i] && !done[i]) stage.push_back(i);
    }
    done = required;
  }
  return cut;
}

}  // namespace msd
