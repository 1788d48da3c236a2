// SPDX-License-Identifier: MIT
#include "models/network/network.h"

#include <cmath>

#include "engine/random.h"
#include "models/network/state_layout.h"

namespace msd {
namespace {

template <typename Draw>
void fill(ParameterSet& set, ParameterSet::Id id, std::uint64_t seed, Draw&& draw) {
  RandomStream random(seed, RandomPurpose::weights, static_cast<std::uint64_t>(id));
  std::int64_t elems = 1;
  for (const std::int64_t d : set.parameter_shape(id)) elems *= d;
  std::vector<double> values(static_cast<std::size_t>(elems));
  for (double& value : values) value = draw(random);
  set.set_parameter(id, values);
}

ParameterSet::Id& id_for(StateEntry::Role role, Network::OperationParameters& ids) {
  using Role = StateEntry::Role;
  switch (role) {
    case Role::weight:
      return ids.weight;
    case Role::bias:
      return ids.bias;
    case Role::gamma:
      return ids.gamma;
    case Role::beta:
      return ids.beta;
    case Role::running_mean:
      return ids.running_mean;
    case Role::running_var:
      return ids.running_var;
    case Role::batches_tracked:
      break;
  }
  return ids.batches_tracked;
}

ParameterSet::Id add(const StateEntry& entry, ParameterSet& set) {
  switch (entry.kind) {
    case StateEntry::Kind::conv_parameter:
      return set.add_parameter(entry.name, entry.shape, ParameterLayout::conv);
    case StateEntry::Kind::plain_parameter:
      return set.add_parameter(entry.name, entry.shape, ParameterLayout::plain);
    case StateEntry::Kind::statistic:
      return set.add_statistic(entry.name, entry.shape[0],
                               entry.role == StateEntry::Role::running_var ? 1.0 : 0.0);
    case StateEntry::Kind::counter:
      break;
  }
  return set.add_counter(entry.name);
}

}  // namespace

Network::Network(const MsdnetConfig& config, Allocator& allocator, DType dtype)
    : architecture_(make_architecture(config)) {
  for (const Operation& op : architecture_.operations) {
    OperationParameters& ids = ids_.emplace_back();
    for (const StateEntry& entry : state_layout(op)) {
      id_for(entry.role, ids) = add(entry, parameters_);
    }
  }
  parameters_.allocate(allocator, dtype);
}

void Network::initialize(std::uint64_t seed, Initialization how) {
  const auto constant = [](double value) { return [value](RandomStream&) { return value; }; };
  const auto uniform = [](double bound) {
    return [bound](RandomStream& random) { return random.uniform(-bound, bound); };
  };
  for (std::size_t i = 0; i < architecture_.operations.size(); ++i) {
    const Operation& op = architecture_.operations[i];
    const OperationParameters& ids = ids_[i];
    visit(
        op,
        [&](const Convolution& c) {
          const double taps = static_cast<double>(c.geometry.kernel * c.geometry.kernel);
          const double fan_in = taps * static_cast<double>(c.geometry.cin);
          const double fan_out = taps * static_cast<double>(c.geometry.cout);
          const double deviation =
              std::sqrt(2.0 / (how == Initialization::he_fan_out ? fan_out : fan_in));
          fill(parameters_, ids.weight, seed,
               [&](RandomStream& random) { return deviation * random.normal(); });
          if (c.has_bias) fill(parameters_, ids.bias, seed, uniform(1.0 / std::sqrt(fan_in)));
          fill(parameters_, ids.gamma, seed, constant(1.0));
          fill(parameters_, ids.beta, seed, constant(0.0));
        },
        [](const MaxPool&) {}, [](const GlobalAveragePool&) {},
        [&](const Linear&) {
          const double fan_in = static_cast<double>(op.input.channels);
          fill(parameters_, ids.weight, seed, uniform(1.0 / std::sqrt(fan_in)));
          fill(parameters_, ids.bias, seed, constant(0.0));
        });
  }
}

}  // namespace msd
