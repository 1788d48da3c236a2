// SPDX-License-Identifier: MIT
// conv_pack: [cout][tap][cin] -> [tap][row][in], the layout implicit GEMM reads: rows are the
// output
//   channels of the pass and `in` its input channels (forward: cout and cin; backward_data: cin and
//   cout). Every row is padded with zeros to 16 bytes, so that 16-byte copies are aligned; the rest
//   of the buffer is zeros.
// Accumulation: none; bf16 rounds to nearest, ties to even. Deterministic.
// Launch: blocks of 256 threads, an element a thread; one launch for up to 8 problems.
// Bytes: 4 read and 4 or 2 written a weight. backward_data reads with a stride: weights are small
//   next to activations and stay in L2. Never ran on a GPU yet.
#include "kernels/cuda/conv_layout.h"
#include "kernels/cuda/group.cuh"
#include "kernels/cuda/ops.h"

namespace msd::cuda {
namespace {

constexpr int kThreads = 256;
using WeightTypes = DTypes<float, bfloat16>;

template <typename T>
struct Packing {
  const float* weight;
  T* packed;
  std::int64_t elems;  // of the whole buffer
  int rows, ins, row_elems, taps;
  bool transposed;
};

template <typename T>
__global__ void __launch_bounds__(kThreads)
    conv_pack_kernel(const __grid_constant__ ProblemTable<Packing<T>> table) {
  const BlockTask task = block_task(table);
  const Packing<T>& p = table.problems[task.problem];
  const std::int64_t at = std::int64_t{task.index} * kThreads + threadIdx.x;
  if (at >= p.elems) return;
  const std::int64_t in = at % p.row_elems, row = at / p.row_elems % p.rows;
  const std::int64_t tap = at / p.row_elems / p.rows;
  float value = 0.0f;
  if (tap < p.taps && in < p.ins) {
    value = p.weight[p.transposed ? (in * p.taps + tap) * p.rows + row
                                  : (row * p.taps + tap) * p.ins + in];
  }
  p.packed[at] = narrow<T>(value);
}

template <typename T>
Packing<T> packing_of(const ConvPackArgs& args) {
  const ConvGeometry& g = args.geometry;
  const bool forward = args.pass == ConvPass::forward;
  const std::int64_t ins = forward ? g.cin : g.cout;
  return {static_cast<const float*>(args.weight),
          static_cast<T*>(args.packed),
          conv_packed_elems(g, args.pass),
          narrowed("conv_pack", forward ? g.cout : g.cin),
          narrowed("conv_pack", ins),
          narrowed("conv_pack", packed_row_elems(ins, args.dtype)),
          narrowed("conv_pack", g.kernel * g.kernel),
          !forward};
}

}  // namespace

void conv_pack(Context& context, std::span<const ConvPackArgs> group) {
  for (const ConvPackArgs& args : group) check_dtype("conv_pack", args.dtype, WeightTypes{});
  for_each_dtype(WeightTypes{}, [&]<typename T>() {
    in_batches<Packing<T>>(
        context, group, [](const ConvPackArgs& args) { return args.dtype == kDeviceDType<T>; },
        [](const ConvPackArgs& args, void*) { return packing_of<T>(args); },
        [&](std::span<const Packing<T>> problems) {
          launch_over(context, conv_pack_kernel<T>, problems, kThreads,
                      [](const Packing<T>& p) { return ceil_div(p.elems, kThreads); });
        });
  });
}

}  // namespace msd::cuda
