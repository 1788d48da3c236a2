// SPDX-License-Identifier: MIT
#include "models/network/state_layout.h"

#include <iterator>

namespace msd {

std::vector<StateEntry> state_layout(const Operation& op) {
  using Kind = StateEntry::Kind;
  using Role = StateEntry::Role;
  using Entries = std::vector<StateEntry>;
  return visit(
      op,
      [&](const Convolution& c) {
        const ConvGeometry& g = c.geometry;
        const std::string& bn = c.batchnorm_name;
        Entries entries = {{op.name + ".weight",
                            {g.cout, g.cin, g.kernel, g.kernel},
                            Kind::conv_parameter,
                            Role::weight}};
        if (c.has_bias) {
          entries.push_back({op.name + ".bias", {g.cout}, Kind::plain_parameter, Role::bias});
        }
        entries.push_back({bn + ".weight", {g.cout}, Kind::plain_parameter, Role::gamma});
        entries.push_back({bn + ".bias", {g.cout}, Kind::plain_parameter, Role::beta});
        entries.push_back({bn + ".running_mean", {g.cout}, Kind::statistic, Role::running_mean});
        entries.push_back({bn + ".running_var", {g.cout}, Kind::statistic, Role::running_var});
        entries.push_back({bn + ".num_batches_tracked", {}, Kind::counter, Role::batches_tracked});
        return entries;
      },
      [](const MaxPool&) { return Entries(); }, [](const GlobalAveragePool&) { return Entries(); },
      [&](const Linear&) {
        const std::int64_t in = op.input.channels, out = op.output.channels;
        return Entries{{op.name + ".weight", {out, in}, Kind::plain_parameter, Role::weight},
                       {op.name + ".bias", {out}, Kind::plain_parameter, Role::bias}};
      });
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
