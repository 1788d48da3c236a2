// SPDX-License-Identifier: MIT
#include "engine/optimizer.h"

#include <cmath>

namespace msd {

Sgd::Sgd(Runtime& runtime, ParameterSet& parameters, SgdOptions options)
    : runtime_(runtime), device_lr_(Tensor::zeros(runtime.allocator(), {1}, DType::f64)) {
  if (!(options.momentum >= 0 && options.momentum < 1)) {
    throw ConfigError(
        message("--momentum is ", options.momentum, "; it must be at least 0 and below 1"));
  }
  if (!(std::isfinite(options.weight_decay) && options.weight_decay >= 0)) {
    throw ConfigError(
        message("--weight-decay is ", options.weight_decay, "; it must be at least 0"));
  }
  args_.weight = parameters.values().data();
  args_.gradient = parameters.gradients().data();
  args_.velocity = parameters.velocities().data();
  args_.mask = static_cast<const std::uint8_t*>(parameters.mask().data());
  args_.count = parameters.flat_elems();
  args_.dtype = parameters.dtype();
  args_.lr = static_cast<const double*>(device_lr_.data());
  args_.momentum = options.momentum;
  args_.weight_decay = options.weight_decay;
  args_.nesterov = options.nesterov;
}

void Sgd::set_lr(double lr) {
  if (!std::isfinite(lr)) throw ConfigError(message("a learning rate of ", lr));
  if (lr == lr_) return;
  lr_ = lr;
  device_lr_.write(&lr_, sizeof(lr_));
}

void Sgd::step() { sgd(runtime_.context(), {&args_, 1}); }

std::int64_t first_not_finite(Runtime& runtime, const Tensor& flat) {
  const Tensor first_bad = Tensor::empty(runtime.allocator(), {1}, DType::i64);
  const FiniteCheckArgs args = {flat.data(), flat.elems(), flat.dtype(),
                                static_cast<std::int64_t*>(first_bad.data())};
  finite_check(runtime.context(), {&args, 1});
  std::int64_t first = -1;
  first_bad.read(&first, sizeof(first));
  return first;
}

}  // namespace msd
