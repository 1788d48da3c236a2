// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "apps/common/options.h"
#include "engine/runtime.h"

namespace msd {

/// --precision, by its other name --dtype. fp32 and fp64: weights, activations and products are of
/// that type. tf32: fp32 whose products may round their factors to tf32. bf16: fp32 weights, bf16
/// activations and factors, sums and statistics in fp32.
class PrecisionOption {
 public:
  void add_to(CommandLine& line, const std::string& group);

  DType parameters() const { return name == "fp64" ? DType::f64 : DType::f32; }
  DType activations() const { return name == "bf16" ? DType::bf16 : parameters(); }

  /// Sets the runtime up; throws ConfigError where its device cannot compute so.
  void apply(Runtime& runtime) const;

  std::string name = "fp32";
};

}  // namespace msd
