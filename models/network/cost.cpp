// SPDX-License-Identifier: MIT
#include "models/network/cost.h"
#include "models/network/stages.h"

namespace msd {
namespace {

std::int64_t positions(const Architecture& net, const Feature& feature) {
  const std::int64_t size = net.buffers[static_cast<std::size_t>(feature.buffer)].size;
  return size * size;
}

}  // namespace

std::int64_t mul_adds(const Architecture& net, const Operation& op) {
  return visit(
      op,
      [&](const Convolution& c) { return positions(net, op.output) * c.geometry.weight_elems(); },
      [](const MaxPool&) { return std::int64_t{0}; },
      [](const GlobalAveragePool&) { return std::int64_t{0}; },
      [&](const Linear&) { return op.input.channels * op.output.channels; });
}

std::int64_t ops(const Architecture& net, const Operation& op) {
  const std::int64_t outputs = positions(net, op.output) * op.output.channels;
  return visit(
      op, [&](const Convolution&) { return mul_adds(net, op) + outputs; },
      [&](const MaxPool& p) { return p.geometry.kernel * p.geometry.kernel * outputs; },
      [&](const GlobalAveragePool&) { return positions(net, op.input) * outputs; },
      [&](const Linear&) { return mul_adds(net, op) + op.output.channels; });
}

std::int64_t parameters(const Operation& op) {
  return visit(
      op,
      [](const Convolution& c) {
        const ConvGeometry& g = c.geometry;
        return g.weight_elems() + (c.has_bias ? g.cout : 0) + 2 * g.cout;
      },
      [](const MaxPool&) { return std::int64_t{0}; },
      [](const GlobalAveragePool&) { return std::int64_t{0}; },
      [&](const Linear&) { return (op.input.channels + 1) * op.output.channels; });
}

std::vector<ExitCost> exit_costs(const Architecture& net) {
  std::vector<ExitCost> costs;
  const std::vector<std::vector<std::size_t>> lazy = stages(net, all_exits(net));
  ExitCost so_far;  // of the lazy stages
  for (std::int64_t exit = 0; exit < net.exits(); ++exit) {
    for (const std::size_t i : lazy[static_cast<std::size_t>(exit)]) {
      so_far.ops_lazy += ops(net, net.operations[i]);
      so_far.mul_adds_lazy += mul_adds(net, net.operations[i]);
    }
    ExitCost& cost = costs.emplace_back(so_far);
    const std::vector<std::size_t> direct = stages(net, {exit})[0];
    for (const std::size_t i : direct) {
      cost.mul_adds_direct += mul_adds(net, net.operations[i]);
    }
    for (const Operation& op : net.operations) {
      if (op.block > exit) continue;
      cost.ops += ops(net, op);
      cost.mul_adds += mul_adds(net, op);
      cost.params += parameters(op);
      cost.activation_elems += positions(net, op.output) * op.output.channels;
    }
  }
  return costs;
}

}  // namespace msd
