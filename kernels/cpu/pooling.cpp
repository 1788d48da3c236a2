// SPDX-License-Identifier: MIT
// Max and average pooling over NHWC rows: channels in the lanes, windows walked in row-major order.
// A task is some rows of outputs (max_pool_backward: an image's group of channels, because windows
// overlap; its sums are added in the order of the outputs). Everything is exact but
// average pooling: its sum of k = kernel_h*kernel_w values in T has an error of at most k*eps/2
// times the sum of their magnitudes. Bytes: every operand once, kernel/stride times for
// overlapping windows (the L1 cache serves the repeats).
#include <limits>

#include "kernels/cpu/device/rows.h"

namespace msd::cpu::MSD_ISA {
namespace {

/// The part [begin, end) of a window that starts at `start` and lies inside [0, size).
struct Extent {
  std::int64_t begin, end;
};
Extent inside(std::int64_t start, std::int64_t kernel, std::int64_t size) {
  return {std::max<std::int64_t>(start, 0), std::min(start + kernel, size)};
}

/// Lanes where a window's maximum moves on to v: a greater value, or its first NaN.
template <typename T>
MSD_INLINE auto exceeds(Vec<T> v, Vec<T> max) {
  return (v > max) | ((v != v) & (max == max));
}

/// Bytes of x that a line of outputs stands for.
std::int64_t line_bytes(const ConstView& x, std::int64_t rows) {
  return rows * x.w * x.c * size_bytes(x.dtype);
}

template <typename T>
void max_pool_row(const MaxPoolForwardArgs& args, std::int64_t image, std::int64_t out_y) {
  const PoolGeometry& g = args.geometry;
  const ConstView& x = args.x;
  const Extent ys = inside(out_y * g.stride - g.padding, g.kernel, x.h);
  const T* from = x.as<T>() + image * x.h * x.w * x.pitch;
  T* to = args.y.as<T>() + (image * args.y.h + out_y) * args.y.w * args.y.pitch;
  for (std::int64_t out_x = 0; out_x < args.y.w; ++out_x, to += args.y.pitch) {
    const Extent xs = inside(out_x * g.stride - g.padding, g.kernel, x.w);
    for_channels<T>(x.c, [&]<int V, bool kTail>(std::int64_t first, int tail) {
      Vec<T> max[V];
      for (int v = 0; v < V; ++v) max[v] = broadcast(-std::numeric_limits<T>::infinity());
      for (std::int64_t row = ys.begin; row < ys.end; ++row) {
        for (std::int64_t column = xs.begin; column < xs.end; ++column) {
          const T* p = from + (row * x.w + column) * x.pitch + first;
          for (int v = 0; v < V; ++v) {
            const Vec<T> value = load_channels<V, kTail>(p, v, tail);
            max[v] = exceeds<T>(value, max[v]) ? value : max[v];
          }
        }
      }
      for (int v = 0; v < V; ++v) store_channels<V, kTail>(to + first, v, tail, max[v]);
    });
  }
}

template <typename T>
void fill_channels(T* p, std::int64_t pitch, std::int64_t rows, std::int64_t channels, T value) {
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t i = 0; i < channels; ++i) p[row * pitch + i] = value;
  }
}

/// Channels a task of max_pool_backward takes: a vector's worth in every instruction set.
constexpr std::int64_t kMaxPoolChannels = 16;

template <typename T>
void max_unpool(const MaxPoolBackwardArgs& args, std::int64_t image, std::int64_t first) {
  const PoolGeometry& g = args.geometry;
  const ConstView& x = args.x;
  const std::int64_t channels = std::min(x.c - first, kMaxPoolChannels);
  const T* from = x.as<T>() + image * x.h * x.w * x.pitch + first;
  const T* upper = args.dy.as<T>() + image * args.dy.h * args.dy.w * args.dy.pitch + first;
  T* to = args.dx.as<T>() + image * x.h * x.w * args.dx.pitch + first;
  if (!args.accumulate) fill_channels(to, args.dx.pitch, x.h * x.w, channels, T{0});
  for (std::int64_t out_y = 0; out_y < args.dy.h; ++out_y) {
    const Extent ys = inside(out_y * g.stride - g.padding, g.kernel, x.h);
    for (std::int64_t out_x = 0; out_x < args.dy.w; ++out_x, upper += args.dy.pitch) {
      const Extent xs = inside(out_x * g.stride - g.padding, g.kernel, x.w);
      for_channels<T, 1>(channels, [&]<int V, bool kTail>(std::int64_t block, int tail) {
        // Every window has a position (the contract's check); its first is the maximum so far.
        Vec<T> max =
            load_channels<V, kTail>(from + (ys.begin * x.w + xs.begin) * x.pitch + block, 0, tail);
        Vec<T> winner{};  // index of the maximum among the window's positions
        T position{0};
        for (std::int64_t row = ys.begin; row < ys.end; ++row) {
          for (std::int64_t column = xs.begin; column < xs.end; ++column, position += T{1}) {
            const Vec<T> value =
                load_channels<V, kTail>(from + (row * x.w + column) * x.pitch + block, 0, tail);
            const auto greater = exceeds<T>(value, max);
            max = greater ? value : max;
            winner = greater ? broadcast(position) : winner;
          }
        }
        const Vec<T> dy = load_channels<V, kTail>(upper + block, 0, tail);
        position = T{0};
        for (std::int64_t row = ys.begin; row < ys.end; ++row) {
          for (std::int64_t column = xs.begin; column < xs.end; ++column, position += T{1}) {
            T* p = to + (row * x.w + column) * args.dx.pitch + block;
            const Vec<T> old = load_channels<V, kTail>(p, 0, tail);
            store_channels<V, kTail>(p, 0, tail, winner == broadcast(position) ? old + dy : old);
          }
        }
      });
    }
  }
}

template <typename T>
void avg_pool_row(const AvgPoolForwardArgs& args, std::int64_t image, std::int64_t out_y) {
  const ConstView& x = args.x;
  const Vec<T> positions = broadcast(static_cast<T>(args.kernel_h * args.kernel_w));
  T* to = args.y.as<T>() + (image * args.y.h + out_y) * args.y.w * args.y.pitch;
  for (std::int64_t out_x = 0; out_x < args.y.w; ++out_x, to += args.y.pitch) {
    const T* window =
        x.as<T>() + ((image * x.h + out_y * args.kernel_h) * x.w + out_x * args.kernel_w) * x.pitch;
    for_channels<T>(x.c, [&]<int V, bool kTail>(std::int64_t first, int tail) {
      Vec<T> sum[V] = {};
      for (std::int64_t row = 0; row < args.kernel_h; ++row) {
        for (std::int64_t column = 0; column < args.kernel_w; ++column) {
          const T* p = window + (row * x.w + column) * x.pitch + first;
          for (int v = 0; v < V; ++v) sum[v] += load_channels<V, kTail>(p, v, tail);
        }
      }
      for (int v = 0; v < V; ++v) {
        store_channels<V, kTail>(to + first, v, tail, sum[v] / positions);
      }
    });
  }
}

template <typename T>
void avg_unpool_row(const AvgPoolBackwardArgs& args, std::int64_t image, std::int64_t row) {
  const ConstView& dy = args.dy;
  const Vec<T> positions = broadcast(static_cast<T>(args.kernel_h * args.kernel_w));
  const std::int64_t out_y = row / args.kernel_h;
  const T* from = dy.as<T>() + (image * dy.h + out_y) * dy.w * dy.pitch;
  T* to = args.dx.as<T>() + (image * args.dx.h + row) * args.dx.w * args.dx.pitch;
  for (std::int64_t column = 0; column < args.dx.w; ++column, to += args.dx.pitch) {
    const std::int64_t out_x = column / args.kernel_w;
    const bool covered = out_y < dy.h && out_x < dy.w;
    if (!covered && args.accumulate) continue;
    for_channels<T>(args.dx.c, [&]<int V, bool kTail>(std::int64_t first, int tail) {
      for (int v = 0; v < V; ++v) {
        Vec<T> value{};
        if (covered) {
          value = load_channels<V, kTail>(from + out_x * dy.pitch + first, v, tail) / positions;
        }
        if (args.accumulate) value = load_channels<V, kTail>(to + first, v, tail) + value;
        store_channels<V, kTail>(to + first, v, tail, value);
      }
    });
  }
}

}  // namespace

void max_pool_forward(ThreadPool& pool, std::span<const MaxPoolForwardArgs> group) {
  for (const MaxPoolForwardArgs& args : group) {
    check_cpu_dtype("max_pool_forward", args.x.dtype);
  }
  for_each_line(
      pool, group, [](const MaxPoolForwardArgs& args) { return args.y.n * args.y.h; },
      [](const MaxPoolForwardArgs& args) { return line_bytes(args.x, args.geometry.stride); },
      [](const MaxPoolForwardArgs& args, std::int64_t line) {
        for_dtype(args.x.dtype,
                  [&]<typename T>() { max_pool_row<T>(args, line / args.y.h, line % args.y.h); });
      });
}

void max_pool_backward(ThreadPool& pool, std::span<const MaxPoolBackwardArgs> group) {
  for (const MaxPoolBackwardArgs& args : group) {
    check_cpu_dtype("max_pool_backward", args.x.dtype);
  }
  const auto blocks = [](const MaxPoolBackwardArgs& args) {
    return ceil_div(args.x.c, kMaxPoolChannels);
  };
  for_each_task(
      pool, group, [&](const MaxPoolBackwardArgs& args) { return args.x.n * blocks(args); },
      [&](const MaxPoolBackwardArgs& args, std::int64_t task, int) {
        for_dtype(args.x.dtype, [&]<typename T>() {
          max_unpool<T>(args, task / blocks(args), task % blocks(args) * kMaxPoolChannels);
        });
      });
}

void avg_pool_forward(ThreadPool& pool, std::span<const AvgPoolForwardArgs> group) {
  for (const AvgPoolForwardArgs& args : group) check_cpu_dtype("avg_pool_forward", args.x.dtype);
  for_each_line(
      pool, group, [](const AvgPoolForwardArgs& args) { return args.y.n * args.y.h; },
      [](const AvgPoolForwardArgs& args) { return line_bytes(args.x, args.kernel_h); },
      [](const AvgPoolForwardArgs& args, std::int64_t line) {
        for_dtype(args.x.dtype,
                  [&]<typename T>() { avg_pool_row<T>(args, line / args.y.h, line % args.y.h); });
      });
}

void avg_pool_backward(ThreadPool& pool, std::span<const AvgPoolBackwardArgs> group) {
  for (const AvgPoolBackwardArgs& args : group) check_cpu_dtype("avg_pool_backward", args.dy.dtype);
  for_each_line(
      pool, group, [](const AvgPoolBackwardArgs& args) { return args.dx.n * args.dx.h; },
      [](const AvgPoolBackwardArgs& args) { return line_bytes(args.dx, 1); },
      [](const AvgPoolBackwardArgs& args, std::int64_t line) {
        for_dtype(args.dy.dtype, [&]<typename T>() {
          avg_unpool_row<T>(args, line / args.dx.h, line % args.dx.h);
        });
      });
}

}  // namespace msd::cpu::MSD_ISA
