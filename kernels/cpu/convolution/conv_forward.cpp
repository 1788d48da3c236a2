// SPDX-License-Identifier: MIT
// conv_forward: y = [relu](conv(x, w) [+ bias]), one class of destination pixels (conv_pass.h), cut
//   into units (conv_cut.h) that conv_units.cpp runs. No batch statistics are left.
#include "kernels/cpu/convolution/conv_units.h"

namespace msd::cpu::MSD_ISA {

void conv_forward(ThreadPool& pool, std::span<const ConvForwardArgs> group) {
  for (const ConvForwardArgs& args : group) {
    if (args.statistics != nullptr) args.statistics->of = {};
  }
  convolve(pool, group, "conv_forward", [](const ConvForwardArgs& a) {
    ConvolutionCut cut{};
    cut.pass = {a.geometry, ConvPass::forward};
    cut.src = a.x;
    cut.dst = a.y;
    cut.packed = a.packed;
    cut.bias = a.bias;
    cut.relu = a.relu;
    return cut;
  });
}

}  // namespace msd::cpu::MSD_ISA
