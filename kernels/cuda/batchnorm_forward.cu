// SPDX-License-Identifier: MIT
// Batch normalisation with ReLU, training forward.
//   mean, var over rows; y = [relu]((x - mean)*gamma*invstd + beta), invstd = 1/sqrt(var + epsilon)
// Layout: rows of c channels with a pitch, any element offset; per-channel vectors [c].
// Statistics: where conv_forward left those of its tiles (workspace_cuts.h), these are put
//   together; elsewhere they come from x.
// Accumulation: parts in double, about the first one's mean. Their means and sums are floats, each
//   some eps off. x is shifted by the mean of kShiftRows rows spread over the tensor, then summed
//   with its squares as batchnorm.cuh says. The variance's relative error is about
//   eps*sqrt(kRunRows) times 1 + (mean - shift)^2/var, which is 1 + 1/kShiftRows for rows drawn
//   alike.
// Deterministic: the order of sums depends on the shape only.
// Launch: three for up to 8 problems (four where some have parts and some do not), blocks of 256
//   threads: chunk sums, statistics (one block a tile of channels), normalisation.
// Bytes: x and y once, and 8 for 64 or 128 rows of a channel; x once more where no parts were left.
//   Counted with what the convolutions write instead, that spares a bf16 training step 69 of 1859
//   MB (CIFAR, 10 exits, batch 64), 553 of 13994 MB (batch 512), 1.85 of 40.3 GB (ImageNet, k = 4,
//   batch 256); see models/network/floor.h.
//   8 FLOPs an element. Scalar loads, neighbouring threads on neighbouring channels: whether
//   16-byte ones gain anything is to be measured. Never ran on a GPU yet.
#include "kernels/contracts/workspace_cuts.h"
#include "kernels/cuda/batchnorm.cuh"
#include "kernels/cuda/device/ops.h"
#include "kernels/libraries/by_algorithm.h"

namespace msd::cuda {
namespace {

constexpr std::int64_t kShiftRows = 16;
constexpr std::int64_t kPartsAThread = 4;  // at least: many blocks share few bytes

template <typename T>
struct Forward {
  ChannelGrid grid;    // of the sums: over rows of x, or over the parts
  const float* parts;  // what the convolution left, or null
  std::int64_t part_rows;
  Normalisation<T> pass;
  const Accumulator<T>*gamma, *beta;
  Accumulator<T>*running_mean, *running_var, *saved_mean, *saved_invstd;
  double* sums;
  double momentum, epsilon;
};

/// The mean of rows spread over the tensor. Not a whole number of images apart, as rows/samples
/// would be: all would be corners.
template <typename T>
MSD_DEVICE Accumulator<T> sample_mean(const Forward<T>& p, int channel) {
  const std::int64_t rows = p.pass.grid.rows, samples = rows < kShiftRows ? rows : kShiftRows;
  double sum = 0.0;
  for (std::int64_t k = 0; k < samples; ++k) {
    const std::int64_t row = samples > 1 ? k * (rows - 1) / (samples - 1) : 0;
    sum += static_cast<double>(widen(p.pass.x[row * p.pass.x_pitch + channel]));
  }
  return static_cast<Accumulator<T>>(sum / static_cast<double>(samples));
}

/// What the sums are about: a value near the mean.
template <typename T>
MSD_DEVICE Accumulator<T> shift_of(const Forward<T>& p, int channel) {
  return p.parts != nullptr ? static_cast<Accumulator<T>>(p.parts[channel])
                            : sample_mean(p, channel);
}

/// The same sums as moments_kernel's, from the parts.
template <typename T>
__global__ void __launch_bounds__(kBatchnormThreads)
    merge_parts_kernel(const __grid_constant__ ProblemTable<Forward<T>> table) {
  const BlockTask task = block_task(table);
  const Forward<T>& p = table.problems[task.problem];
  const ChannelThread t(p.grid, task.index);
  double sum = 0.0, squares = 0.0;
  for (std::int64_t part = t.first_row; part < t.end_row; part += t.slots) {
    const float* moments = p.parts + part * 2 * p.grid.channels + t.channel;
    const std::int64_t left = p.pass.grid.rows - part * p.part_rows;
    const auto rows = static_cast<double>(left < p.part_rows ? left : p.part_rows);
    const double d = static_cast<double>(moments[0]) - static_cast<double>(p.parts[t.channel]);
    sum += rows * d;
    squares += static_cast<double>(moments[p.grid.channels]) + rows * d * d;
  }
  sum_over_slots(t, p.grid.width, sum, squares);
  if (t.slot == 0 && t.live) store_chunk(p.sums, p.grid, t, sum, squares);
}

template <typename T>
__global__ void __launch_bounds__(kBatchnormThreads)
    moments_kernel(const __grid_constant__ ProblemTable<Forward<T>> table) {
  using A = Accumulator<T>;
  MSD_SHARED(A, shift_of_column, kWarpSize);
  const BlockTask task = block_task(table);
  const Forward<T>& p = table.problems[task.problem];
  const ChannelThread t(p.grid, task.index);
  if (t.slot == 0 && t.live) shift_of_column[t.column] = shift_of(p, t.channel);
  block_sync();
  double sum = 0.0, squares = 0.0;
  if (t.live) {
    const A shift = shift_of_column[t.column];
    sum_rows<A>(t, sum, squares, [&](std::int64_t row, A& a, A& b) {
      const A d = widen(p.pass.x[row * p.pass.x_pitch + t.channel]) - shift;
      a += d;
      b = multiply_add(d, d, b);
    });
  }
  sum_over_slots(t, p.grid.width, sum, squares);
  if (t.slot == 0 && t.live) store_chunk(p.sums, p.grid, t, sum, squares);
}

template <typename A>
MSD_DEVICE void blend(A& running, double momentum, double value) {
  running = static_cast<A>((1.0 - momentum) * static_cast<double>(running) + momentum * value);
}

/// A block a tile of channels.
template <typename T>
__global__ void __launch_bounds__(kBatchnormThreads)
    statistics_kernel(const __grid_constant__ ProblemTable<Forward<T>> table) {
  const BlockTask task = block_task(table);
  const Forward<T>& p = table.problems[task.problem];
  const ChannelThread t(p.grid, task.index);
  double sum = 0.0, squares = 0.0;
  sum_chunks(p.sums, p.grid, t, sum, squares);
  if (t.slot != 0 || !t.live) return;
  const auto rows = static_cast<double>(p.pass.grid.rows);
  const double shifted = sum / rows;
  const double mean = static_cast<double>(shift_of(p, t.channel)) + shifted;
  const double spread = squares - rows * shifted * shifted;
  // NaN stays; rounding may leave a constant channel just below 0.
  const double variance = spread < 0.0 ? 0.0 : spread / rows;
  p.saved_mean[t.channel] = static_cast<Accumulator<T>>(mean);
  p.saved_invstd[t.channel] = static_cast<Accumulator<T>>(1.0 / sqrt(variance + p.epsilon));
  blend(p.running_mean[t.channel], p.momentum, mean);
  blend(p.running_var[t.channel], p.momentum, variance * rows / (rows - 1.0));
}

template <typename T>
__global__ void __launch_bounds__(kBatchnormThreads)
    normalise_kernel(const __grid_constant__ ProblemTable<Forward<T>> table) {
  const BlockTask task = block_task(table);
  const Forward<T>& p = table.problems[task.problem];
  const ChannelThread t(p.pass.grid, task.index);
  if (!t.live) return;
  const int c = t.channel;
  normalise(p.pass, t,
            Affine<Accumulator<T>>(p.saved_mean[c], p.gamma[c], p.saved_invstd[c], p.beta[c]));
}

template <typename T>
Forward<T> problem_of(const BatchNormForwardArgs& args, void* share) {
  const bool left = args.statistics != nullptr && args.statistics->of.data != nullptr;
  const StatisticsParts parts(args.x.rows(), args.x.c);
  ConstView summed = args.x;
  if (left) summed.n = parts.count, summed.h = summed.w = 1;
  return {channel_grid(summed, left ? kPartsAThread : kRunRows,
                       most_chunks("batchnorm_forward", args.x.c)),
          left ? static_cast<const float*>(args.statistics->data) : nullptr,
          parts.rows_each,
          normalisation_of<T>(args),
          static_cast<const Accumulator<T>*>(args.gamma),
          static_cast<const Accumulator<T>*>(args.beta),
          static_cast<Accumulator<T>*>(args.running_mean),
          static_cast<Accumulator<T>*>(args.running_var),
          static_cast<Accumulator<T>*>(args.saved_mean),
          static_cast<Accumulator<T>*>(args.saved_invstd),
          static_cast<double*>(share),
          args.momentum,
          args.epsilon};
}

void handwritten(Context& context, std::span<const BatchNormForwardArgs> group) {
  by_dtype(
      "batchnorm_forward", ActivationTypes{}, context, group, &BatchNormForwardArgs::x,
      [&]<typename T>(const auto&... of) { return problem_of<T>(of...); },
      [&]<typename T>(std::span<const Forward<T>> problems) {
        launch_over(context, moments_kernel<T>, problems, kBatchnormThreads,
                    [](const Forward<T>& p) { return p.parts ? 0 : p.grid.blocks(); });
        launch_over(context, merge_parts_kernel<T>, problems, kBatchnormThreads,
                    [](const Forward<T>& p) { return p.parts ? p.grid.blocks() : 0; });
        launch_over(context, statistics_kernel<T>, problems, kBatchnormThreads,
                    [](const Forward<T>& p) { return p.grid.tiles; });
        launch_over(context, normalise_kernel<T>, problems, kBatchnormThreads,
                    [](const Forward<T>& p) { return p.pass.grid.blocks(); });
      });
}

}  // namespace

void batchnorm_forward(Context& context, std::span<const BatchNormForwardArgs> group) {
  by_algorithm(context, group, handwritten);
}

}  // namespace msd::cuda
