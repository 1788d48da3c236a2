// SPDX-License-Identifier: MIT
// Batch normalisation with ReLU by running statistics:
//   y = [relu]((x - running_mean)*scale + beta), scale = gamma/sqrt(running_var + epsilon)
// Layout: rows of c channels with a pitch, any element offset; per-channel vectors [c].
// Accumulation: scale in double, rounded once; then one subtraction and one fused multiply-add.
// Deterministic and batch-invariant: an element depends on itself and its channel only.
// Launch: one for up to 8 problems, blocks of 256 threads over chunks of rows and channels.
// Bytes: x and y once. 4 FLOPs an element. Never ran on a GPU yet.
#include "kernels/cuda/batchnorm.cuh"
#include "kernels/cuda/device/ops.h"

namespace msd::cuda {
namespace {

template <typename T>
struct Inference {
  Normalisation<T> pass;
  const Accumulator<T>*gamma, *beta, *mean, *variance;
  double epsilon;
};

template <typename T>
__global__ void __launch_bounds__(kBatchnormThreads)
    normalise_by_running_kernel(const __grid_constant__ ProblemTable<Inference<T>> table) {
  const BlockTask task = block_task(table);
  const Inference<T>& p = table.problems[task.problem];
  const ChannelThread t(p.pass.grid, task.index);
  if (!t.live) return;
  const int c = t.channel;
  const double deviation = sqrt(static_cast<double>(p.variance[c]) + p.epsilon);
  const auto scale = static_cast<Accumulator<T>>(static_cast<double>(p.gamma[c]) / deviation);
  normalise(p.pass, t, Affine<Accumulator<T>>(p.mean[c], scale, 1, p.beta[c]));
}

template <typename T>
Inference<T> problem_of(const BatchNormInferenceArgs& args, void*) {
  return {normalisation_of<T>(args),
          static_cast<const Accumulator<T>*>(args.gamma),
          static_cast<const Accumulator<T>*>(args.beta),
          static_cast<const Accumulator<T>*>(args.running_mean),
          static_cast<const Accumulator<T>*>(args.running_var),
          args.epsilon};
}

}  // namespace

void batchnorm_inference(Context& context, std::span<const BatchNormInferenceArgs> group) {
  by_dtype(
      "batchnorm_inference", ActivationTypes{}, context, group, &BatchNormInferenceArgs::x,
      [&]<typename T>(const auto&... of) { return problem_of<T>(of...); },
      [&]<typename T>(std::span<const Inference<T>> problems) {
        launch_over(context, normalise_by_running_kernel<T>, problems, kBatchnormThreads,
                    [](const Inference<T>& p) { return p.pass.grid.blocks(); });
      });
}

}  // namespace msd::cuda
