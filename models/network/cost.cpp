// SPDX-License-Identifier: MIT
#include "models/network/cost.h"

namespace msd {
namespace {

using Kind = Operation::Kind;

std::int64_t positions(const Architecture& net, const Feature& feature) {
  const std::int64_t size = net.buffers[static_cast<std::size_t>(feature.buffer)].size;
  return size * size;
}

}  // namespace

std::int64_t mul_adds(const Architecture& net, const Operation& op) {
  switch (op.kind) {
    case Kind::conv_bn_relu:
      return positions(net, op.output) * op.conv.weight_elems();
    case Kind::linear:
      return op.input.channels * op.output.channels;
    case Kind::max_pool:
    case Kind::global_avg_pool:
      break;
  }
  return 0;
}

std::int64_t ops(const Architecture& net, const Operation& op) {
  const std::int64_t outputs = positions(net, op.output) * op.output.channels;
  switch (op.kind) {
    case Kind::conv_bn_relu:
      return mul_adds(net, op) + outputs;
    case Kind::max_pool:
      return op.pool.kernel * op.pool.kernel * outputs;
    case Kind::global_avg_pool:
      return positions(net, op.input) * outputs;
    case Kind::linear:
      return mul_adds(net, op) + op.output.channels;
  }
  return 0;
}

std::int64_t parameters(const Operation& op) {
  switch (op.kind) {
    case Kind::conv_bn_relu:
      return op.conv.weight_elems() + (op.has_bias ? op.conv.cout : 0) + 2 * op.conv.cout;
    case Kind::linear:
      return (op.input.channels + 1) * op.output.channels;
    case Kind::max_pool:
    case Kind::global_avg_pool:
      break;
  }
  return 0;
}

std::vector<ExitCost> exit_costs(const Architecture& net) {
  std::vector<ExitCost> costs(static_cast<std::size_t>(net.exits()));
  std::vector<std::int64_t> exits;
  for (std::int64_t exit = 0; exit < net.exits(); ++exit) {
    ExitCost& cost = costs[static_cast<std::size_t>(exit)];
    exits.push_back(exit);
    const std::vector<bool> lazy = required_operations(net, exits);
    const std::vector<bool> direct = required_operations(net, {exit});
    for (std::size_t i = 0; i < net.operations.size(); ++i) {
      const Operation& op = net.operations[i];
      if (op.block <= exit) {
        cost.ops += ops(net, op);
        cost.mul_adds += mul_adds(net, op);
        cost.params += parameters(op);
        cost.activation_elems += positions(net, op.output) * op.output.channels;
      }
      if (lazy[i]) {
        cost.ops_lazy += ops(net, op);
        cost.mul_adds_lazy += mul_adds(net, op);
      }
      if (direct[i]) cost.mul_adds_direct += mul_adds(net, op);
    }
  }
  return costs;
}

}  // namespace msd
