// SPDX-License-Identifier: MIT
// conv_backward_data: dx (+)= conv^T(dy, w), stride x stride classes of destination pixels
//   (conv_pass.h), cut into units (conv_cut.h) that conv_units.cpp runs.
#include "kernels/cpu/convolution/conv_units.h"

namespace msd::cpu::MSD_ISA {

void conv_backward_data(ThreadPool& pool, std::span<const ConvBackwardDataArgs> group) {
  convolve(pool, group, "conv_backward_data", [](const ConvBackwardDataArgs& a) {
    ConvolutionCut cut{};
    cut.pass = {a.geometry, ConvPass::backward_data};
    cut.src = a.dy;
    cut.dst = a.dx;
    cut.packed = a.packed;
    cut.accumulate = a.accumulate;
    return cut;
  });
}

}  // namespace msd::cpu::MSD_ISA
