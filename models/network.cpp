// SPDX-License-Identifier: MIT
#include "models/network.h"

#include <cmath>

#include "engine/random.h"

namespace msd {
namespace {

using Kind = Operation::Kind;

template <typename Draw>
void fill(ParameterSet& set, ParameterSet::Id id, std::uint64_t seed, Draw&& draw) {
  RandomStream random(seed, RandomPurpose::weights, static_cast<std::uint64_t>(id));
  std::int64_t elems = 1;
  for (const std::int64_t d : set.parameter_shape(id)) elems *= d;
  std::vector<double> values(static_cast<std::size_t>(elems));
  for (double& value : values) value = draw(random);
  set.set_parameter(id, values);
}

}  // namespace

Network::Network(const MsdnetConfig& config, Allocator& allocator, DType dtype)
    : architecture_(make_architecture(config)) {
  for (const Operation& op : architecture_.operations) {
    OperationParameters ids;
    if (op.kind == Kind::conv_bn_relu) {
      const ConvGeometry& g = op.conv;
      ids.weight = parameters_.add_parameter(
          op.name + ".weight", {g.cout, g.cin, g.kernel, g.kernel}, ParameterLayout::conv);
      if (op.has_bias) {
        ids.bias = parameters_.add_parameter(op.name + ".bias", {g.cout}, ParameterLayout::plain);
      }
      const std::string& bn = op.batchnorm_name;
      ids.gamma = parameters_.add_parameter(bn + ".weight", {g.cout}, ParameterLayout::plain);
      ids.beta = parameters_.add_parameter(bn + ".bias", {g.cout}, ParameterLayout::plain);
      ids.running_mean = parameters_.add_statistic(bn + ".running_mean", g.cout, 0.0);
      ids.running_var = parameters_.add_statistic(bn + ".running_var", g.cout, 1.0);
      ids.batches_tracked = parameters_.add_counter(bn + ".num_batches_tracked");
    } else if (op.kind == Kind::linear) {
      ids.weight = parameters_.add_parameter(
          op.name + ".weight", {op.output.channels, op.input.channels}, ParameterLayout::plain);
      ids.bias = parameters_.add_parameter(op.name + ".bias", {op.output.channels},
                                           ParameterLayout::plain);
    }
    ids_.push_back(ids);
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
    if (op.kind == Kind::conv_bn_relu) {
      const double taps = static_cast<double>(op.conv.kernel * op.conv.kernel);
      const double fan_in = taps * static_cast<double>(op.conv.cin);
      const double fan_out = taps * static_cast<double>(op.conv.cout);
      const double deviation =
          std::sqrt(2.0 / (how == Initialization::he_fan_out ? fan_out : fan_in));
      fill(parameters_, ids.weight, seed,
           [&](RandomStream& random) { return deviation * random.normal(); });
      if (op.has_bias) fill(parameters_, ids.bias, seed, uniform(1.0 / std::sqrt(fan_in)));
      fill(parameters_, ids.gamma, seed, constant(1.0));
      fill(parameters_, ids.beta, seed, constant(0.0));
    } else if (op.kind == Kind::linear) {
      const double fan_in = static_cast<double>(op.input.channels);
      fill(parameters_, ids.weight, seed, uniform(1.0 / std::sqrt(fan_in)));
      fill(parameters_, ids.bias, seed, constant(0.0));
    }
  }
}

}  // namespace msd
