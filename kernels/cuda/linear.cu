// SPDX-License-Identifier: MIT
// The classifiers' linear layers.
//   forward   y[i][o] = bias[o] + sum_c x[i][c]*w[o][c]
//   backward  dw[o][c] = sum_i dy[i][o]*x[i][c], dbias[o] = sum_i dy[i][o] (as if x had one more
//             channel, of ones), dx[i][c] (+)= sum_o dy[i][o]*w[o][c]
// Layout: rows of x, y and their gradients with a pitch, any element offset; w and dw dense.
// Accumulation: fused multiply-adds in float (f64: double). Forward: lane l has channels l, l + 32,
//   ..., then a butterfly. Backward: warp v has terms v, v + 8, ..., the warps are added in order.
// Deterministic; forward is batch-invariant: an output's order of sums is the same in any tile.
// Launch: one for up to 8 problems, blocks of 8 warps. Forward: a warp has 4 rows x 4 outputs.
//   Backward: a block has 8 x 32 elements of dw or dx, lanes on neighbouring channels.
// Bytes: each operand once where L2 serves the repeats (w once per 4 rows, x once per 4 outputs).
// FLOPs: 2*rows*in*out a product. Never ran on a GPU yet.
#include "kernels/cuda/device/group.cuh"
#include "kernels/cuda/device/ops.h"
#include "kernels/error.h"
#include "kernels/libraries/by_algorithm.h"

namespace msd::cuda {
namespace {

constexpr int kWarps = 8, kThreads = kWarps * kWarpSize;
constexpr int kTile = 4;        // rows and outputs of a warp in forward
constexpr int kLines = kWarps;  // lines of a block's tile in backward
constexpr int kPartials = kWarps * kLines * kWarpSize;

template <typename T>
struct Forward {
  using A = Accumulator<T>;
  const T* x;
  const A *weight, *bias;
  T* y;
  std::int64_t x_pitch, y_pitch, rows, outputs, channels, tiles;  // tiles: of outputs
};

template <typename T>
__global__ void __launch_bounds__(kThreads)
    dot_tile_kernel(const __grid_constant__ ProblemTable<Forward<T>> table) {
  using A = Accumulator<T>;
  const BlockTask task = block_task(table);
  const Forward<T>& p = table.problems[task.problem];
  const int lane = lane_index();
  const std::int64_t tile = std::int64_t{task.index} * kWarps + threadIdx.x / kWarpSize;
  const std::int64_t row = tile / p.tiles * kTile, output = tile % p.tiles * kTile;
  if (row >= p.rows) return;
  // Past the end a tile repeats the last row or output and doesn't keep it.
  const T* x[kTile];
  const A* weight[kTile];
  MSD_UNROLL
  for (int i = 0; i < kTile; ++i) {
    x[i] = p.x + (row + i < p.rows ? row + i : p.rows - 1) * p.x_pitch;
    weight[i] = p.weight + (output + i < p.outputs ? output + i : p.outputs - 1) * p.channels;
  }
  A sum[kTile][kTile] = {};
  for (std::int64_t c = lane; c < p.channels; c += kWarpSize) {
    A factor[kTile];
    MSD_UNROLL
    for (int o = 0; o < kTile; ++o) factor[o] = weight[o][c];
    MSD_UNROLL
    for (int r = 0; r < kTile; ++r) {
      const A value = widen(x[r][c]);
      MSD_UNROLL
      for (int o = 0; o < kTile; ++o) sum[r][o] = multiply_add(value, factor[o], sum[r][o]);
    }
  }
  A mine = 0;  // lane l keeps row l / kTile, output l % kTile
  MSD_UNROLL
  for (int r = 0; r < kTile; ++r) {
    MSD_UNROLL
    for (int o = 0; o < kTile; ++o) {
      const A total = warp_sum(sum[r][o]);
      if (lane == r * kTile + o) mine = total;
    }
  }
  const std::int64_t to_row = row + lane / kTile, to_output = output + lane % kTile;
  if (lane >= kTile * kTile || to_row >= p.rows || to_output >= p.outputs) return;
  p.y[to_row * p.y_pitch + to_output] = narrow<T>(mine + p.bias[to_output]);
}

template <typename T>
Forward<T> forward_of(const LinearForwardArgs& args, void*) {
  return {args.x.as<T>(),
          static_cast<const Accumulator<T>*>(args.weight),
          static_cast<const Accumulator<T>*>(args.bias),
          args.y.as<T>(),
          args.x.pitch,
          args.y.pitch,
          args.x.rows(),
          args.y.c,
          args.x.c,
          ceil_div(args.y.c, kTile)};
}

template <typename T>
struct Backward {
  using A = Accumulator<T>;
  const T *x, *dy;
  const A* weight;
  T* dx;
  A *dw, *dbias;
  std::int64_t x_pitch, dy_pitch, dx_pitch, rows, outputs, channels;
  bool accumulate;

  /// Blocks side by side; those of dw have a column for dbias.
  __host__ __device__ std::int64_t weight_columns() const { return channels / kWarpSize + 1; }
  __host__ __device__ std::int64_t input_columns() const {
    return (channels + kWarpSize - 1) / kWarpSize;
  }
  __host__ __device__ std::int64_t weight_blocks() const {
    return (outputs + kLines - 1) / kLines * weight_columns();
  }
  __host__ __device__ std::int64_t input_blocks() const {
    return dx == nullptr ? 0 : (rows + kLines - 1) / kLines * input_columns();
  }
};

/// sum_k a(line, k)*b(k) for the tile's lines in the calling lane's column: that of line
/// `threadIdx.x / 32`. All threads call it; of_warp: kPartials of the block's own.
template <typename A, typename LineFactor, typename ColumnFactor>
MSD_DEVICE A sum_terms(A* of_warp, std::int64_t terms, LineFactor a, ColumnFactor b) {
  const int lane = lane_index(), warp = static_cast<int>(threadIdx.x) / kWarpSize;
  A sum[kLines] = {};
  for (std::int64_t k = warp; k < terms; k += kWarps) {
    const A factor = b(k);
    MSD_UNROLL
    for (int line = 0; line < kLines; ++line) {
      sum[line] = multiply_add(a(line, k), factor, sum[line]);
    }
  }
  MSD_UNROLL
  for (int line = 0; line < kLines; ++line) {
    of_warp[(warp * kLines + line) * kWarpSize + lane] = sum[line];
  }
  block_sync();
  A total = 0;
  for (int other = 0; other < kWarps; ++other) {
    total += of_warp[(other * kLines + warp) * kWarpSize + lane];
  }
  return total;
}

template <typename T>
MSD_DEVICE void weight_tile(const Backward<T>& p, std::int64_t block, Accumulator<T>* of_warp) {
  using A = Accumulator<T>;
  const std::int64_t first = block / p.weight_columns() * kLines;
  const std::int64_t c = block % p.weight_columns() * kWarpSize + lane_index();
  const std::int64_t last = p.outputs - 1;
  const A total = sum_terms<A>(
      of_warp, p.rows,
      [&](int line, std::int64_t row) {
        const std::int64_t output = first + line < last ? first + line : last;
        return widen(p.dy[row * p.dy_pitch + output]);
      },
      [&](std::int64_t row) -> A {
        if (c > p.channels) return 0;
        return c == p.channels ? 1 : widen(p.x[row * p.x_pitch + c]);
      });
  const std::int64_t output = first + threadIdx.x / kWarpSize;
  if (output > last || c > p.channels) return;
  (c == p.channels ? p.dbias[output] : p.dw[output * p.channels + c]) = total;
}

template <typename T>
MSD_DEVICE void input_tile(const Backward<T>& p, std::int64_t block, Accumulator<T>* of_warp) {
  using A = Accumulator<T>;
  const std::int64_t first = block / p.input_columns() * kLines;
  const std::int64_t c = block % p.input_columns() * kWarpSize + lane_index();
  const std::int64_t last = p.rows - 1;
  const A total = sum_terms<A>(
      of_warp, p.outputs,
      [&](int line, std::int64_t output) {
        const std::int64_t row = first + line < last ? first + line : last;
        return widen(p.dy[row * p.dy_pitch + output]);
      },
      [&](std::int64_t output) -> A {
        return c < p.channels ? p.weight[output * p.channels + c] : 0;
      });
  const std::int64_t row = first + threadIdx.x / kWarpSize;
  if (row > last || c >= p.channels) return;
  T& dx = p.dx[row * p.dx_pitch + c];
  dx = narrow<T>(p.accumulate ? widen(dx) + total : total);
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    gradient_tile_kernel(const __grid_constant__ ProblemTable<Backward<T>> table) {
  MSD_SHARED(Accumulator<T>, of_warp, kPartials);
  const BlockTask task = block_task(table);
  const Backward<T>& p = table.problems[task.problem];
  if (task.index < p.weight_blocks()) {
    weight_tile(p, task.index, of_warp);
  } else {
    input_tile(p, task.index - p.weight_blocks(), of_warp);
  }
}

template <typename T>
Backward<T> backward_of(const LinearBackwardArgs& args, void*) {
  return {args.x.as<T>(),
          args.dy.as<T>(),
          static_cast<const Accumulator<T>*>(args.weight),
          args.dx.as<T>(),
          static_cast<Accumulator<T>*>(args.dw),
          static_cast<Accumulator<T>*>(args.dbias),
          args.x.pitch,
          args.dy.pitch,
          args.dx.pitch,
          args.x.rows(),
          args.dy.c,
          args.x.c,
          args.accumulate};
}

void handwritten_forward(Context& context, std::span<const LinearForwardArgs> group) {
  by_dtype(
      "linear_forward", ActivationTypes{}, context, group, &LinearForwardArgs::x,
      [](const LinearForwardArgs& args) { return args.y.elems() > 0; },
      [&]<typename T>(const auto&... of) { return forward_of<T>(of...); },
      [&]<typename T>(std::span<const Forward<T>> problems) {
        launch_over(context, dot_tile_kernel<T>, problems, kThreads, [](const Forward<T>& p) {
          return ceil_div(ceil_div(p.rows, kTile) * p.tiles, kWarps);
        });
      });
}

void handwritten_backward(Context& context, std::span<const LinearBackwardArgs> group) {
  by_dtype(
      "linear_backward", ActivationTypes{}, context, group, &LinearBackwardArgs::x,
      [&]<typename T>(const auto&... of) { return backward_of<T>(of...); },
      [&]<typename T>(std::span<const Backward<T>> problems) {
        launch_over(context, gradient_tile_kernel<T>, problems, kThreads,
                    [](const Backward<T>& p) { return p.weight_blocks() + p.input_blocks(); });
      });
}

}  // namespace

void linear_forward(Context& context, std::span<const LinearForwardArgs> group) {
  by_algorithm(context, group, handwritten_forward);
}

void linear_backward(Context& context, std::span<const LinearBackwardArgs> group) {
  by_algorithm(context, group, handwritten_backward);
}

}  // namespace msd::cuda
