// SPDX-License-Identifier: MIT
// Backward of batch normalisation with ReLU.
//   d = x - mean; g = dy where d*gamma*invstd + beta > 0 (everywhere without relu), else 0;
//   dbeta = sum g, dgamma = invstd * sum g*d,
//   dx = gamma*invstd*(g - dbeta/rows - d*invstd*dgamma/rows)
// Layout: rows of c channels with a pitch, any element offset; dx may be dy or x.
// Accumulation: as batchnorm.cuh says; the sums' relative error is about eps*sqrt(kRunRows).
// Deterministic: the order of sums depends on the shape only. The mask is forward's own expression,
//   bit for bit.
// Launch: three for up to 8 problems, blocks of 256 threads: chunk sums, gradients of gamma and
// beta
//   (one block a tile of channels), dx.
// Bytes: x and dy twice, dx once. 14 FLOPs an element. Never ran on a GPU yet.
#include "kernels/cuda/batchnorm.cuh"
#include "kernels/cuda/device/ops.h"
#include "kernels/libraries/by_algorithm.h"

namespace msd::cuda {
namespace {

template <typename T>
struct Backward {
  using A = Accumulator<T>;
  ChannelGrid sums_grid, pointwise_grid;
  const T *x, *dy;
  T* dx;
  std::int64_t x_pitch, dy_pitch, dx_pitch;
  const A *gamma, *beta, *saved_mean, *saved_invstd;
  A *dgamma, *dbeta;
  double* sums;  // [chunks][2][channels], then [2][channels]: dbeta/rows, invstd*dgamma/rows
  bool relu;

  MSD_DEVICE Affine<A> affine(int channel) const {
    return {saved_mean[channel], gamma[channel], saved_invstd[channel], beta[channel]};
  }
  MSD_DEVICE double* means() const {
    return sums + std::int64_t{sums_grid.chunks} * 2 * sums_grid.channels;
  }
  /// dy through the ReLU.
  MSD_DEVICE A g(std::int64_t row, int channel, const Affine<A>& forward, A x_value) const {
    const A upper = widen(dy[row * dy_pitch + channel]);
    return !relu || forward(x_value) > 0 ? upper : 0;
  }
};

template <typename T>
__global__ void __launch_bounds__(kBatchnormThreads)
    gradient_sums_kernel(const __grid_constant__ ProblemTable<Backward<T>> table) {
  using A = Accumulator<T>;
  const BlockTask task = block_task(table);
  const Backward<T>& p = table.problems[task.problem];
  const ChannelThread t(p.sums_grid, task.index);
  double sum = 0.0, products = 0.0;
  if (t.live) {
    const Affine<A> forward = p.affine(t.channel);
    sum_rows<A>(t, sum, products, [&](std::int64_t row, A& a, A& b) {
      const A x = widen(p.x[row * p.x_pitch + t.channel]);
      const A g = p.g(row, t.channel, forward, x);
      a += g;
      b = multiply_add(g, x - forward.mean, b);
    });
  }
  sum_over_slots(t, p.sums_grid.width, sum, products);
  if (t.slot == 0 && t.live) store_chunk(p.sums, p.sums_grid, t, sum, products);
}

/// A block a tile of channels.
template <typename T>
__global__ void __launch_bounds__(kBatchnormThreads)
    parameter_gradients_kernel(const __grid_constant__ ProblemTable<Backward<T>> table) {
  const BlockTask task = block_task(table);
  const Backward<T>& p = table.problems[task.problem];
  const ChannelThread t(p.sums_grid, task.index);
  double dbeta = 0.0, products = 0.0;
  sum_chunks(p.sums, p.sums_grid, t, dbeta, products);
  if (t.slot != 0 || !t.live) return;
  const auto invstd = static_cast<double>(p.saved_invstd[t.channel]);
  const double dgamma = products * invstd;
  p.dbeta[t.channel] = static_cast<Accumulator<T>>(dbeta);
  p.dgamma[t.channel] = static_cast<Accumulator<T>>(dgamma);
  const double inverse = p.sums_grid.rows > 0 ? 1.0 / static_cast<double>(p.sums_grid.rows) : 0.0;
  p.means()[t.channel] = dbeta * inverse;
  p.means()[p.sums_grid.channels + t.channel] = invstd * dgamma * inverse;
}

template <typename T>
__global__ void __launch_bounds__(kBatchnormThreads)
    input_gradient_kernel(const __grid_constant__ ProblemTable<Backward<T>> table) {
  using A = Accumulator<T>;
  const BlockTask task = block_task(table);
  const Backward<T>& p = table.problems[task.problem];
  const ChannelThread t(p.pointwise_grid, task.index);
  if (!t.live) return;
  const Affine<A> forward = p.affine(t.channel);
  const auto g_mean = static_cast<A>(p.means()[t.channel]);
  const auto d_slope = static_cast<A>(p.means()[p.sums_grid.channels + t.channel]);
  for (std::int64_t row = t.first_row; row < t.end_row; row += t.slots) {
    const A x = widen(p.x[row * p.x_pitch + t.channel]);
    const A g = p.g(row, t.channel, forward, x);
    const A d = x - forward.mean;
    p.dx[row * p.dx_pitch + t.channel] =
        narrow<T>(forward.scale * multiply_add(-d, d_slope, g - g_mean));
  }
}

template <typename T>
Backward<T> problem_of(const BatchNormBackwardArgs& args, void* share) {
  return {channel_grid(args.x, kRunRows, most_chunks("batchnorm_backward", args.x.c)),
          pointwise_grid(args.x),
          args.x.as<T>(),
          args.dy.as<T>(),
          args.dx.as<T>(),
          args.x.pitch,
          args.dy.pitch,
          args.dx.pitch,
          static_cast<const Accumulator<T>*>(args.gamma),
          static_cast<const Accumulator<T>*>(args.beta),
          static_cast<const Accumulator<T>*>(args.saved_mean),
          static_cast<const Accumulator<T>*>(args.saved_invstd),
          static_cast<Accumulator<T>*>(args.dgamma),
          static_cast<Accumulator<T>*>(args.dbeta),
          static_cast<double*>(share),
          args.relu};
}

void handwritten(Context& context, std::span<const BatchNormBackwardArgs> group) {
  by_dtype(
      "batchnorm_backward", ActivationTypes{}, context, group, &BatchNormBackwardArgs::x,
      [&]<typename T>(const auto&... of) { return problem_of<T>(of...); },
      [&]<typename T>(std::span<const Backward<T>> problems) {
        launch_over(context, gradient_sums_kernel<T>, problems, kBatchnormThreads,
                    [](const Backward<T>& p) { return p.sums_grid.blocks(); });
        launch_over(context, parameter_gradients_kernel<T>, problems, kBatchnormThreads,
                    [](const Backward<T>& p) { return p.sums_grid.tiles; });
        launch_over(context, input_gradient_kernel<T>, problems, kBatchnormThreads,
                    [](const Backward<T>& p) { return p.pointwise_grid.blocks(); });
      });
}

}  // namespace

void batchnorm_backward(Context& context, std::span<const BatchNormBackwardArgs> group) {
  by_algorithm(context, group, handwritten);
}

}  // namespace msd::cuda
