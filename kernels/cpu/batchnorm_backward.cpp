// SPDX-License-Identifier: MIT
// batchnorm_backward: dx = scale*(g - dbeta/rows - d*invstd*dgamma/rows), g = dy where forward's
//   value was > 0; d, scale and how sums are made: batchnorm.h.
// Bytes: x and dy twice, dx once.
#include "kernels/cpu/batchnorm.h"

namespace msd::cpu::MSD_ISA {
namespace {

/// g = dy where forward's value was positive.
template <typename T, bool kRelu>
MSD_INLINE Vec<T> through_relu(Vec<T> dy, Vec<T> d, Vec<T> scale, Vec<T> beta) {
  if (!kRelu) return dy;
  const Vec<T> value = multiply_add(d, scale, beta);
  return value > Vec<T>{} ? dy : Vec<T>{};
}

template <typename T, bool kRelu>
void gradient_sums(const T* x, std::int64_t x_pitch, const T* dy, std::int64_t dy_pitch,
                   std::int64_t rows, std::int64_t channels, const Coefficients<T>& k,
                   double* sums) {
  std::fill(sums, sums + 2 * channels, 0.0);
  for_channels<T, 2>(channels, [&]<int V, bool kTail>(std::int64_t first, int tail) {
    const Affine<T, V> affine = load_affine<T, V, kTail>(k, first, tail);
    const T* from = x + first;
    const T* upper = dy + first;
    sum_rows<T, V>(
        rows, tail, sums + first, sums + channels + first,
        [&](std::int64_t row, int v, Vec<T>& sum, Vec<T>& products) __attribute__((always_inline)) {
          const Vec<T> d = load_channels<V, kTail>(from + row * x_pitch, v, tail) - affine.mean[v];
          const Vec<T> g =
              through_relu<T, kRelu>(load_channels<V, kTail>(upper + row * dy_pitch, v, tail), d,
                                     affine.scale[v], affine.beta[v]);
          sum += g;
          products = multiply_add(g, d, products);
        });
  });
}

template <typename T, bool kRelu>
void input_gradient(const T* x, std::int64_t x_pitch, const T* dy, std::int64_t dy_pitch, T* dx,
                    std::int64_t dx_pitch, std::int64_t rows, std::int64_t channels,
                    const Coefficients<T>& k) {
  for_channels<T, 2>(channels, [&]<int V, bool kTail>(std::int64_t first, int tail) {
    const Affine<T, V> affine = load_affine<T, V, kTail>(k, first, tail);
    Vec<T> g_mean[V], d_slope[V];
    for (int v = 0; v < V; ++v) {
      g_mean[v] = load_channels<V, kTail>(k.g_mean + first, v, tail);
      d_slope[v] = load_channels<V, kTail>(k.d_slope + first, v, tail);
    }
    const T* from = x + first;
    const T* upper = dy + first;
    T* to = dx + first;
    for (std::int64_t row = 0; row < rows;
         ++row, from += x_pitch, upper += dy_pitch, to += dx_pitch) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        const Vec<T> d = load_channels<V, kTail>(from, v, tail) - affine.mean[v];
        const Vec<T> g = through_relu<T, kRelu>(load_channels<V, kTail>(upper, v, tail), d,
                                                affine.scale[v], affine.beta[v]);
        store_channels<V, kTail>(to, v, tail, affine.scale[v] * (g - g_mean[v] - d * d_slope[v]));
      }
    }
  });
}

template <typename T>
void finish_gradients(const Part<BatchNormBackwardArgs>& part) {
  const BatchNormBackwardArgs& args = *part.args;
  const double inverse = part.rows > 0 ? 1.0 / static_cast<double>(part.rows) : 0.0;
  for (std::int64_t i = 0; i < part.channels; ++i) {
    const auto invstd =
        static_cast<double>(static_cast<const T*>(args.saved_invstd)[part.first + i]);
    const double dbeta = total(part, 0, i);
    const double dgamma = total(part, 1, i) * invstd;
    static_cast<T*>(args.dbeta)[part.first + i] = static_cast<T>(dbeta);
    static_cast<T*>(args.dgamma)[part.first + i] = static_cast<T>(dgamma);
    part.number<T>(1)[i] = static_cast<T>(dbeta * inverse);
    part.number<T>(2)[i] = static_cast<T>(invstd * dgamma * inverse);
  }
}

}  // namespace

void batchnorm_backward(ThreadPool& pool, std::span<const BatchNormBackwardArgs> group) {
  using BackwardPart = Part<BatchNormBackwardArgs>;
  check_dtypes("batchnorm_backward", group);
  in_batches(pool, group, [&](std::span<const BackwardPart> parts) {
    for (const BackwardPart& part : parts) {
      for_dtype(part.args->x.dtype, [&]<typename T>() {
        for (std::int64_t i = 0; i < part.channels; ++i) {  // as in batchnorm_forward
          part.number<T>(0)[i] = static_cast<const T*>(part.args->gamma)[part.first + i] *
                                 static_cast<const T*>(part.args->saved_invstd)[part.first + i];
        }
      });
    }
    run_tasks(pool, parts, false, []<typename T>(const BackwardPart& part, std::int64_t task) {
      const BatchNormBackwardArgs& args = *part.args;
      const std::int64_t begin = part.row_begin(task), rows = part.row_end(task) - begin;
      const auto pass = args.relu ? &gradient_sums<T, true> : &gradient_sums<T, false>;
      pass(part.in<T>(args.x) + begin * args.x.pitch, args.x.pitch,
           part.in<T>(args.dy) + begin * args.dy.pitch, args.dy.pitch, rows, part.channels,
           part.coefficients<T>(args.saved_mean), part.sums_of(task));
    });
    for (const BackwardPart& part : parts) {
      for_dtype(part.args->x.dtype, [&]<typename T>() { finish_gradients<T>(part); });
    }
    run_tasks(pool, parts, true, []<typename T>(const BackwardPart& part, std::int64_t task) {
      const BatchNormBackwardArgs& args = *part.args;
      const std::int64_t begin = part.row_begin(task), rows = part.row_end(task) - begin;
      const auto pass = args.relu ? &input_gradient<T, true> : &input_gradient<T, false>;
      pass(part.in<T>(args.x) + begin * args.x.pitch, args.x.pitch,
           part.in<T>(args.dy) + begin * args.dy.pitch, args.dy.pitch,
           part.out<T>(args.dx) + begin * args.dx.pitch, args.dx.pitch, rows, part.channels,
           part.coefficients<T>(args.saved_mean));
    });
  });
}

}  // namespace msd::cpu::MSD_ISA
