// SPDX-License-Identifier: MIT
// How both convolutions that are cut into units (conv_cut.h) run.
#pragma once

#include "kernels/cpu/convolution/conv_cut.h"

namespace msd::cpu::MSD_ISA {

inline constexpr std::size_t kMostCuts = 32;

/// Runs all units of up to kMostCuts problems in one parallel loop. Of each cut the problem is
/// given; how it is cut is written.
void run_units(ThreadPool& pool, std::span<ConvolutionCut> cuts, const char* op);

/// An op of which describe(args) makes the problems.
template <typename Args, typename Describe>
void convolve(ThreadPool& pool, std::span<const Args> group, const char* op,
              const Describe& describe) {
  for (const Args& args : group) require_cpu_dtype(op, describe(args).src.dtype);
  while (!group.empty()) {
    const std::size_t count = group.size() < kMostCuts ? group.size() : kMostCuts;
    ConvolutionCut cuts[kMostCuts];
    for (std::size_t i = 0; i < count; ++i) cuts[i] = describe(group[i]);
    run_units(pool, {cuts, count}, op);
    group = group.subspan(count);
  }
}

}  // namespace msd::cpu::MSD_ISA
