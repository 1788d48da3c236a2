// SPDX-License-Identifier: MIT
// Packed weights back to [cout][tap][cin], which libraries read: the reverse of conv_pack, of the
//   same type, for either pass.
// Accumulation: none. Deterministic. Launch: blocks of 256 threads, an element a thread.
// Bytes: weights once each way; they are in L2. A library pays for this in every run, and so it is
//   part of what is measured. Never ran on a GPU yet.
#include "kernels/cuda/convolution/packed_weights.cuh"
#include "kernels/cuda/device/group.cuh"
#include "kernels/libraries/by_algorithm.h"

namespace msd::cuda {
namespace {

constexpr int kThreads = 256;

template <typename T>
struct Unpacking {
  const T* packed;
  T* dense;
  std::int64_t elems;
  PackedWeights layout;
};

template <typename T>
__global__ void __launch_bounds__(kThreads)
    conv_unpack_kernel(const __grid_constant__ ProblemTable<Unpacking<T>> table) {
  const BlockTask task = block_task(table);
  const Unpacking<T>& p = table.problems[task.problem];
  const std::int64_t at = std::int64_t{task.index} * kThreads + threadIdx.x;
  if (at >= p.elems) return;
  p.dense[at] = p.packed[p.layout.packed_index(p.layout.dense_at(at))];
}

template <typename T>
void unpack(const Context& context, const AlgorithmKey& key, const void* packed, void* dense) {
  const Unpacking<T> one = {static_cast<const T*>(packed), static_cast<T*>(dense),
                            key.cout * key.kernel * key.kernel * key.cin,
                            PackedWeights("conv_unpack", key.cout, key.cin, key.kernel, key.dtype,
                                          key.op == ChoosableOp::conv_backward_data)};
  launch_over(context, conv_unpack_kernel<T>, std::span<const Unpacking<T>>(&one, 1), kThreads,
              [](const Unpacking<T>& p) { return ceil_div(p.elems, kThreads); });
}

}  // namespace

void unpack_weights(const Context& context, const AlgorithmKey& key, const void* packed,
                    void* dense) {
  if (key.dtype == DType::bf16) {
    unpack<bfloat16>(context, key, packed, dense);
  } else {
    unpack<float>(context, key, packed, dense);
  }
}

}  // namespace msd::cuda
