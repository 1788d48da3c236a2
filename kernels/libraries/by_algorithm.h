// SPDX-License-Identifier: MIT
// How an op's body lets the context's chooser pick its algorithm.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "kernels/cuda/device/context.h"
#include "kernels/libraries/plugin.h"
#include "kernels/ops.h"

namespace msd::cuda {

AlgorithmKey key_of_op(const ConvForwardArgs& args, const Context& context);
AlgorithmKey key_of_op(const ConvBackwardDataArgs& args, const Context& context);
AlgorithmKey key_of_op(const ConvBackwardWeightArgs& args, const Context& context);
AlgorithmKey key_of_op(const BatchNormForwardArgs& args, const Context& context);
AlgorithmKey key_of_op(const BatchNormBackwardArgs& args, const Context& context);
AlgorithmKey key_of_op(const LinearForwardArgs& args, const Context& context);
AlgorithmKey key_of_op(const LinearBackwardArgs& args, const Context& context);

Operands operands_of(const ConvForwardArgs& args);
Operands operands_of(const ConvBackwardDataArgs& args);
Operands operands_of(const ConvBackwardWeightArgs& args);
Operands operands_of(const BatchNormForwardArgs& args);
Operands operands_of(const BatchNormBackwardArgs& args);
Operands operands_of(const LinearForwardArgs& args);
Operands operands_of(const LinearBackwardArgs& args);

/// The memory a run of the problem writes: from the first byte of each operand to its last, with
/// what lies between its rows.
std::vector<std::span<std::byte>> written_by(const AlgorithmKey& key, const Operands& operands);

/// Writes a convolution's packed weights (f32 or bf16) to `dense` as libraries read them,
/// [cout][kernel][kernel][cin]; kernels/cuda/convolution/conv_unpack.cu.
void unpack_weights(const Context& context, const AlgorithmKey& key, const void* packed,
                    void* dense);

/// Runs a problem with another algorithm and returns true, or returns false where the chooser wants
/// the handwritten one, which `handwritten` runs while it is measured.
bool run_otherwise(Context& context, const AlgorithmKey& key, const Operands& operands,
                   const std::function<void()>& handwritten);

/// Told of problems that another algorithm ran after all: no library leaves statistics.
template <typename Args>
void ran_otherwise(const Args&) {}
inline void ran_otherwise(const ConvForwardArgs& args) {
  if (args.statistics != nullptr) args.statistics->of = {};
}

/// Runs each problem as the context's chooser says; those left to handwritten(context, problems)
/// stay one group, in which they may share launches.
/// Its time is taken with each problem alone, which does that sharing no justice.
template <typename Args>
void by_algorithm(Context& context, std::span<const Args> group,
                  void (*handwritten)(Context&, std::span<const Args>)) {
  if (context.algorithms == nullptr) {
    handwritten(context, group);
    return;
  }
  std::vector<Args> rest;
  for (const Args& args : group) {
    const auto alone = [&] { handwritten(context, {&args, 1}); };
    if (run_otherwise(context, key_of_op(args, context), operands_of(args), alone)) {
      ran_otherwise(args);
    } else {
      rest.push_back(args);
    }
  }
  if (!rest.empty()) handwritten(context, rest);
}

}  // namespace msd::cuda
