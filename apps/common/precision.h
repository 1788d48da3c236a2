// SPDX-License-Identifier: MIT
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "engine/runtime.h"
#include "kernels/error.h"

namespace msd {

/// --precision, by its other name --dtype. fp32 and fp64: weights, activations and products are of
/// that type. tf32: fp32 whose products may round their factors to tf32. bf16: fp32 weights, bf16
/// activations and factors, sums and statistics in fp32.
class PrecisionOption {
 public:
  void add_to(CLI::App& app, const std::string& group) {
    app.add_option("--precision,--dtype", name,
                   "fp32; fp64 on the CPU; tf32 or bf16 (weights stay fp32) on a GPU")
        ->check(CLI::IsMember({"fp32", "fp64", "tf32", "bf16"}))
        ->capture_default_str()
        ->group(group);
  }

  DType parameters() const { return name == "fp64" ? DType::f64 : DType::f32; }
  DType activations() const { return name == "bf16" ? DType::bf16 : parameters(); }

  /// Sets the runtime up; throws ConfigError where its device cannot compute so.
  void apply(Runtime& runtime) const {
    const bool cuda = runtime.device().type == DeviceType::cuda;
    if (cuda && name == "fp64") {
      throw ConfigError("--precision fp64 is for --device cpu; on a GPU use fp32, tf32 or bf16");
    }
    if (!cuda && (name == "tf32" || name == "bf16")) {
      throw ConfigError("--precision " + name +
                        " needs --device cuda; on the CPU use fp32 or fp64");
    }
    runtime.set_allow_tf32(name == "tf32");
  }

  std::string name = "fp32";
};

}  // namespace msd
