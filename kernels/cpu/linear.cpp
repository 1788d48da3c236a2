// SPDX-License-Identifier: MIT
// The classifiers' linear layers.
//   forward  y[i][o] = bias[o] + sum_c x[i][c]*w[o][c]: dot products, channels in the lanes, tiles
//   of
//            4 rows x 4 outputs. Each output has its own accumulator and the same order of sums
//            whatever tile it is in, so a row's bits don't depend on the batch.
//   backward dw = dy^T*x (sum over rows), dx = dy*w (sum over outputs): both are out[m][c] = sum_k
//            a(m,k)*b[k][c], channels in the lanes, tiles of 4 m x 2 vectors, k in rising order.
// Sums in T: an error of about eps*sqrt(terms) times the size of the products. FLOPs: 2*rows*in*out
// a product; weights (in*out*4 bytes) are read once per 4 rows.
#include "kernels/cpu/device/rows.h"

namespace msd::cpu::MSD_ISA {
namespace {

constexpr std::int64_t kLinearRowsPerTask = 16;
constexpr std::int64_t kOutputsPerTask = 32;

/// Lanes summed pairwise, in an order that is the same everywhere.
template <typename T>
MSD_INLINE T lane_sum(Vec<T> v) {
  T lanes[kLanes<T>];
  store(lanes, v);
  for (int width = kLanes<T> / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}

template <typename T, int R, int O>
MSD_INLINE void dot_tile(const T* x, std::int64_t x_pitch, const T* w, std::int64_t terms,
                         const T* bias, T* y, std::int64_t y_pitch) {
  constexpr std::int64_t kLane = kLanes<T>;
  Vec<T> sum[R][O] = {};
  std::int64_t k = 0;
  const auto step = [&](auto&& get) __attribute__((always_inline)) {
    Vec<T> a[R];
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) a[r] = get(x + r * x_pitch + k);
#pragma GCC unroll 4
    for (int o = 0; o < O; ++o) {
      const Vec<T> b = get(w + o * terms + k);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) sum[r][o] = multiply_add(a[r], b, sum[r][o]);
    }
  };
  for (; k + kLane <= terms; k += kLane) {
    step([](const T* p) __attribute__((always_inline)) { return load(p); });
  }
  if (k < terms) {
    const auto tail = static_cast<int>(terms - k);
    step([tail](const T* p) __attribute__((always_inline)) { return load_partial(p, tail); });
  }
  for (int r = 0; r < R; ++r) {
    for (int o = 0; o < O; ++o) y[r * y_pitch + o] = bias[o] + lane_sum<T>(sum[r][o]);
  }
}

template <typename T>
void forward_task(const LinearForwardArgs& args, std::int64_t row_begin, std::int64_t row_end,
                  std::int64_t out_begin, std::int64_t out_end) {
  const std::int64_t terms = args.x.c;
  const T* bias = static_cast<const T*>(args.bias);
  const auto rows = [&]<int R>(std::int64_t row) {
    const T* x = args.x.as<T>() + row * args.x.pitch;
    const T* w = static_cast<const T*>(args.weight);
    T* y = args.y.as<T>() + row * args.y.pitch;
    std::int64_t o = out_begin;
    for (; o + 4 <= out_end; o += 4) {
      dot_tile<T, R, 4>(x, args.x.pitch, w + o * terms, terms, bias + o, y + o, args.y.pitch);
    }
    for (; o < out_end; ++o) {
      dot_tile<T, R, 1>(x, args.x.pitch, w + o * terms, terms, bias + o, y + o, args.y.pitch);
    }
  };
  std::int64_t row = row_begin;
  for (; row + 4 <= row_end; row += 4) rows.template operator()<4>(row);
  for (; row < row_end; ++row) rows.template operator()<1>(row);
}

/// out[m][c] (+)= sum_k a[m*a_m + k*a_k] * b[k*b_pitch + c] for m of [0, ms), c of [0, channels).
template <typename T>
struct Product {
  const T* a;
  std::int64_t a_m, a_k;
  const T* b;
  std::int64_t b_pitch, terms;
  T* out;
  std::int64_t out_pitch, ms, channels;
  bool accumulate;
};

template <typename T, int M>
void product_rows(const Product<T>& p, std::int64_t m) {
  for_channels<T, 2>(p.channels, [&]<int V, bool kTail>(std::int64_t first, int tail) {
    Vec<T> sum[M][V] = {};
    const T* a = p.a + m * p.a_m;
    const T* b = p.b + first;
    for (std::int64_t k = 0; k < p.terms; ++k, a += p.a_k, b += p.b_pitch) {
      Vec<T> row[V];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) row[v] = load_channels<V, kTail>(b, v, tail);
#pragma GCC unroll 4
      for (int i = 0; i < M; ++i) {
        const Vec<T> factor = broadcast(a[i * p.a_m]);
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) sum[i][v] = multiply_add(factor, row[v], sum[i][v]);
      }
    }
    for (int i = 0; i < M; ++i) {
      T* out = p.out + (m + i) * p.out_pitch + first;
      for (int v = 0; v < V; ++v) {
        Vec<T> value = sum[i][v];
        if (p.accumulate) value += load_channels<V, kTail>(out, v, tail);
        store_channels<V, kTail>(out, v, tail, value);
      }
    }
  });
}

template <typename T>
void product(const Product<T>& p, std::int64_t begin, std::int64_t end) {
  std::int64_t m = begin;
  for (; m + 4 <= end; m += 4) product_rows<T, 4>(p, m);
  for (; m < end; ++m) product_rows<T, 1>(p, m);
}

/// Tasks of linear_backward: blocks of outputs for dw and dbias, then blocks of rows for dx.
std::int64_t weight_tasks(const LinearBackwardArgs& args) {
  return ceil_div(args.dy.c, kLinearRowsPerTask);
}
std::int64_t input_tasks(const LinearBackwardArgs& args) {
  return args.dx.data == nullptr ? 0 : ceil_div(args.x.rows(), kLinearRowsPerTask);
}

template <typename T>
void backward_task(const LinearBackwardArgs& args, std::int64_t task) {
  const std::int64_t rows = args.x.rows();
  if (task < weight_tasks(args)) {
    const std::int64_t begin = task * kLinearRowsPerTask;
    const std::int64_t end = std::min(args.dy.c, begin + kLinearRowsPerTask);
    product<T>({.a = args.dy.as<T>(),
                .a_m = 1,
                .a_k = args.dy.pitch,
                .b = args.x.as<T>(),
                .b_pitch = args.x.pitch,
                .terms = rows,
                .out = static_cast<T*>(args.dw),
                .out_pitch = args.x.c,
                .ms = args.dy.c,
                .channels = args.x.c,
                .accumulate = false},
               begin, end);
    for (std::int64_t o = begin; o < end; ++o) {
      T sum{0};
      for (std::int64_t row = 0; row < rows; ++row) sum += args.dy.as<T>()[row * args.dy.pitch + o];
      static_cast<T*>(args.dbias)[o] = sum;
    }
    return;
  }
  const std::int64_t begin = (task - weight_tasks(args)) * kLinearRowsPerTask;
  product<T>({.a = args.dy.as<T>(),
              .a_m = args.dy.pitch,
              .a_k = 1,
              .b = static_cast<const T*>(args.weight),
              .b_pitch = args.x.c,
              .terms = args.dy.c,
              .out = args.dx.as<T>(),
              .out_pitch = args.dx.pitch,
              .ms = rows,
              .channels = args.x.c,
              .accumulate = args.accumulate},
             begin, std::min(rows, begin + kLinearRowsPerTask));
}

}  // namespace

void linear_forward(ThreadPool& pool, std::span<const LinearForwardArgs> group) {
  for (const LinearForwardArgs& args : group) check_cpu_dtype("linear_forward", args.x.dtype);
  const auto columns = [](const LinearForwardArgs& args) {
    return ceil_div(args.y.c, kOutputsPerTask);
  };
  for_each_task(
      pool, group,
      [&](const LinearForwardArgs& args) {
        return ceil_div(args.x.rows(), kLinearRowsPerTask) * columns(args);
      },
      [&](const LinearForwardArgs& args, std::int64_t task, int) {
        const std::int64_t row = task / columns(args) * kLinearRowsPerTask;
        const std::int64_t out = task % columns(args) * kOutputsPerTask;
        for_dtype(args.x.dtype, [&]<typename T>() {
          forward_task<T>(args, row, std::min(args.x.rows(), row + kLinearRowsPerTask), out,
                          std::min(args.y.c, out + kOutputsPerTask));
        });
      });
}

void linear_backward(ThreadPool& pool, std::span<const LinearBackwardArgs> group) {
  for (const LinearBackwardArgs& args : group) check_cpu_dtype("linear_backward", args.x.dtype);
  for_each_task(
      pool, group,
      [](const LinearBackwardArgs& args) { return weight_tasks(args) + input_tasks(args); },
      [](const LinearBackwardArgs& args, std::int64_t task, int) {
        for_dtype(args.x.dtype, [&]<typename T>() { backward_task<T>(args, task); });
      });
}

}  // namespace msd::cpu::MSD_ISA
