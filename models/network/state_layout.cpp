// SPDX-License-Identifier: MIT
#include "models/network/state_layout.h"

#include <iterator>

namespace msd {

std::vector<StateEntry> state_layout(const Operation& op) {
  using Kind = StateEntry::Kind;
  using Role = StateEntry::Role;
  std::vector<StateEntry> entries;
  if (op.kind == Operation::Kind::conv_bn_relu) {
    const ConvGeometry& g = op.conv;
    const std::string& bn = op.batchnorm_name;
    entries = {{op.name + ".weight",
                {g.cout, g.cin, g.kernel, g.kernel},
                Kind::conv_parameter,
                Role::weight}};
    if (op.has_bias) {
      entries.push_back({op.name + ".bias", {g.cout}, Kind::plain_parameter, Role::bias});
    }
    entries.push_back({bn + ".weight", {g.cout}, Kind::plain_parameter, Role::gamma});
    entries.push_back({bn + ".bias", {g.cout}, Kind::plain_parameter, Role::beta});
    entries.push_back({bn + ".running_mean", {g.cout}, Kind::statistic, Role::running_mean});
    entries.push_back({bn + ".running_var", {g.cout}, Kind::statistic, Role::running_var});
    entries.push_back({bn + ".num_batches_tracked", {}, Kind::counter, Role::batches_tracked});
  } else if (op.kind == Operation::Kind::linear) {
    const std::int64_t in = op.input.channels, out = op.output.channels;
    entries = {{op.name + ".weight", {out, in}, Kind::plain_parameter, Role::weight},
               {op.name + ".bias", {out}, Kind::plain_parameter, Role::bias}};
  }
  return entries;
}

std::vector<StateEntry> state_layout(const Architecture& architecture) {
  std::vector<StateEntry> all;
  for (const Operation& op : architecture.operations) {
    std::vector<StateEntry> entries = state_layout(op);
    all.insert(all.end(), std::make_move_iterator(entries.begin()),
               std::make_move_iterator(entries.end()));
  }
  return all;
}

}  // namespace msd
