// SPDX-License-Identifier: MIT
#include "engine/optimizer.h"

namespace msd {

void Sgd::step(ExecutionContext& context, ParameterSet& parameters, double lr) const {
  SgdArgs args;
  args.weight = parameters.values().data();
  args.gradient = parameters.gradients().data();
  args.velocity = parameters.velocities().data();
  args.mask = static_cast<const std::uint8_t*>(parameters.mask().data());
  args.count = parameters.flat_elems();
  args.dtype = parameters.dtype();
  args.lr = lr;
  args.momentum = options_.momentum;
  args.weight_decay = options_.weight_decay;
  args.nesterov = options_.nesterov;
  sgd(context, {&args, 1});
}

std::int64_t first_not_finite(ExecutionContext& context, const Tensor& flat) {
  std::int64_t first = -1;
  const FiniteCheckArgs args = {flat.data(), flat.elems(), flat.dtype(), &first};
  finite_check(context, {&args, 1});
  return first;
}

}  // namespace msd
