// SPDX-License-Identifier: MIT
// conv_pack: [cout][tap][cin] -> [tap][row][in], the layout implicit GEMM reads: rows are the
//   output channels of the pass and `in` its input channels (forward: cout and cin; backward_data:
//   cin and cout). Every row is padded with zeros to 16 bytes, so that 16-byte copies are aligned;
//   the rest of the buffer is zeros.
// Accumulation: none; bf16 rounds to nearest, ties to even. Deterministic.
// Launch: blocks of 256 threads, an element a thread; one launch for up to 8 problems.
// Bytes: 4 read and 4 or 2 written a weight. backward_data reads with a stride: weights are small
//   next to activations and stay in L2. Never ran on a GPU yet.
#include "kernels/cuda/convolution/packed_weights.cuh"
#include "kernels/cuda/device/group.cuh"
#include "kernels/cuda/device/ops.h"

namespace msd::cuda {
namespace {

constexpr int kThreads = 256;

template <typename T>
struct Packing {
  const float* weight;
  T* packed;
  std::int64_t elems;  // of the whole buffer
  PackedWeights layout;
};

template <typename T>
__global__ void __launch_bounds__(kThreads)
    conv_pack_kernel(const __grid_constant__ ProblemTable<Packing<T>> table) {
  const BlockTask task = block_task(table);
  const Packing<T>& p = table.problems[task.problem];
  const std::int64_t at = std::int64_t{task.index} * kThreads + threadIdx.x;
  if (at >= p.elems) return;
  const PackedWeights::Weight w = p.layout.packed_at(at);
  p.packed[at] = narrow<T>(p.layout.contains(w) ? p.weight[p.layout.dense_index(w)] : 0.0f);
}

}  // namespace

void conv_pack(Context& context, std::span<const ConvPackArgs> group) {
  by_dtype(
      "conv_pack", TensorCoreTypes{}, context, group, &ConvPackArgs::dtype,
      [&]<typename T>(const ConvPackArgs& args, void*) {
        const ConvGeometry& g = args.geometry;
        return Packing<T>{static_cast<const float*>(args.weight), static_cast<T*>(args.packed),
                          conv_packed_elems(g, args.pass),
                          PackedWeights("conv_pack", g.cout, g.cin, g.kernel, args.dtype,
                                        args.pass == ConvPass::backward_data)};
      },
      [&]<typename T>(std::span<const Packing<T>> problems) {
        launch_over(context, conv_pack_kernel<T>, problems, kThreads,
                    [](const Packing<T>& p) { return ceil_div(p.elems, kThreads); });
      });
}

}  // namespace msd::cuda
