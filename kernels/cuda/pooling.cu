// SPDX-License-Identifier: MIT
// Max and average pooling.
//   max_pool_forward   y = max over the window's positions inside the image, NaN if one is NaN
//   max_pool_backward  dx (+)= sum of dy over the windows whose first maximum lies here
//   avg_pool_forward   y = (sum over the window)/positions
//   avg_pool_backward  dx (+)= dy/positions of the window it lies in
// Layout: rows of c channels with a pitch, any element offset. Where all addresses, pitches and
//   channels allow it, a thread has 16 bytes of channels, otherwise one element.
// Accumulation: maxima are exact; sums in the order of the window's positions, or of the windows,
//   in float for bf16, rounded once.
// Deterministic and batch-invariant: backward gathers, so that every element is written once.
// Launch: one for up to 8 problems, blocks of 256 threads over the outputs.
// Bytes: each operand once, windows that overlap from L1. FLOPs: kernel^2 an output; max_pool_
//   backward (kernel/stride)^2 windows of kernel^2 an element. Never ran on a GPU yet.
#include "kernels/check.h"
#include "kernels/cuda/device/group.cuh"
#include "kernels/cuda/device/ops.h"

namespace msd::cuda {
namespace {

constexpr int kThreads = 256, kResident = 3;  // with 4 blocks nvcc 13 would spill

enum class Pooling : std::uint8_t { max_forward, max_backward, avg_forward, avg_backward };

/// Windows over `large` (x, dx) and what belongs to each in `small` (y, dy).
template <typename T>
struct Pool {
  const T *x, *dy;
  T* out;
  std::int64_t x_pitch, dy_pitch, out_pitch;
  int large_h, large_w, small_h, small_w;
  int kernel_h, kernel_w, stride_h, stride_w, padding;
  unsigned channels, units;  // channels of out and its elements, in vectors where `vectors`
  bool accumulate, vectors;
};

/// A unit of `out`: its position and its first channel.
struct Unit {
  std::int64_t row, image;
  int y, x;
  std::int64_t channel;
};
MSD_DEVICE Unit unit_at(unsigned unit, unsigned channels, int height, int width, int vector) {
  const unsigned row = unit / channels, channel = unit - row * channels;
  const auto h = static_cast<unsigned>(height), w = static_cast<unsigned>(width);
  const unsigned line = row / w, image = line / h;
  return {row, image, static_cast<int>(line - image * h), static_cast<int>(row - line * w),
          std::int64_t{channel} * vector};
}

/// [begin, end) of a window inside [0, size).
struct Extent {
  int begin, end;
};
MSD_DEVICE Extent inside(int start, int kernel, int size) {
  return {start < 0 ? 0 : start, start + kernel < size ? start + kernel : size};
}
/// The windows that hold position `at`: window i begins at i*stride - padding.
MSD_DEVICE Extent windows_over(int at, int kernel, int stride, int padding, int count) {
  const int last = (at + padding) / stride, past = at + padding - kernel;
  const int first = past < 0 ? 0 : past / stride + 1;
  return {first, last + 1 < count ? last + 1 : count};
}

/// Whether a window's maximum moves on to `value`: a greater one, or its first NaN.
template <typename A>
MSD_DEVICE bool exceeds(A value, A max) {
  return value > max || (value != value && max == max);
}

template <int V, typename T>
MSD_DEVICE void max_of_window(const Pool<T>& p, const Unit& u, Accumulator<T> (&value)[V]) {
  const Extent ys = inside(u.y * p.stride_h - p.padding, p.kernel_h, p.large_h);
  const Extent xs = inside(u.x * p.stride_w - p.padding, p.kernel_w, p.large_w);
  for (int k = 0; k < V; ++k) value[k] = -kInfinity<Accumulator<T>>;
  for (int y = ys.begin; y < ys.end; ++y) {
    const T* line = p.x + (u.image * p.large_h + y) * p.large_w * p.x_pitch + u.channel;
    for (int x = xs.begin; x < xs.end; ++x) {
      const Vector<T, V> in = load_vector<V>(line + x * p.x_pitch);
      for (int k = 0; k < V; ++k) {
        const Accumulator<T> other = widen(in[k]);
        if (exceeds(other, value[k])) value[k] = other;
      }
    }
  }
}

/// Adds dy of the windows that have their first maximum at u.
template <int V, typename T>
MSD_DEVICE void add_won_windows(const Pool<T>& p, const Unit& u, Accumulator<T> (&value)[V]) {
  using A = Accumulator<T>;
  const Extent windows_y = windows_over(u.y, p.kernel_h, p.stride_h, p.padding, p.small_h);
  const Extent windows_x = windows_over(u.x, p.kernel_w, p.stride_w, p.padding, p.small_w);
  for (int window_y = windows_y.begin; window_y < windows_y.end; ++window_y) {
    const Extent ys = inside(window_y * p.stride_h - p.padding, p.kernel_h, p.large_h);
    for (int window_x = windows_x.begin; window_x < windows_x.end; ++window_x) {
      const Extent xs = inside(window_x * p.stride_w - p.padding, p.kernel_w, p.large_w);
      const T* image = p.x + u.image * p.large_h * p.large_w * p.x_pitch + u.channel;
      // Every window has a position (the contract's check); its first is the maximum so far.
      const Vector<T, V> corner =
          load_vector<V>(image + (std::int64_t{ys.begin} * p.large_w + xs.begin) * p.x_pitch);
      const bool at_corner = ys.begin == u.y && xs.begin == u.x;
      A max[V];
      bool here[V];
      for (int k = 0; k < V; ++k) max[k] = widen(corner[k]), here[k] = at_corner;
      for (int y = ys.begin; y < ys.end; ++y) {
        for (int x = xs.begin; x < xs.end; ++x) {
          const Vector<T, V> in =
              load_vector<V>(image + (std::int64_t{y} * p.large_w + x) * p.x_pitch);
          const bool now = y == u.y && x == u.x;
          for (int k = 0; k < V; ++k) {
            const A other = widen(in[k]);
            if (!exceeds(other, max[k])) continue;
            max[k] = other;
            here[k] = now;
          }
        }
      }
      const std::int64_t row = (u.image * p.small_h + window_y) * p.small_w + window_x;
      const Vector<T, V> dy = load_vector<V>(p.dy + row * p.dy_pitch + u.channel);
      for (int k = 0; k < V; ++k) {
        if (here[k]) value[k] += widen(dy[k]);
      }
    }
  }
}

template <int V, typename T>
MSD_DEVICE void mean_of_window(const Pool<T>& p, const Unit& u, Accumulator<T> (&value)[V]) {
  for (int y = 0; y < p.kernel_h; ++y) {
    const std::int64_t line = (u.image * p.large_h + u.y * p.kernel_h + y) * p.large_w;
    const T* from = p.x + (line + u.x * p.kernel_w) * p.x_pitch + u.channel;
    for (int x = 0; x < p.kernel_w; ++x) {
      const Vector<T, V> in = load_vector<V>(from + x * p.x_pitch);
      for (int k = 0; k < V; ++k) value[k] += widen(in[k]);
    }
  }
  const auto positions = static_cast<Accumulator<T>>(p.kernel_h * p.kernel_w);
  for (int k = 0; k < V; ++k) value[k] /= positions;
}

template <int V, typename T>
MSD_DEVICE void add_share(const Pool<T>& p, const Unit& u, Accumulator<T> (&value)[V]) {
  const int window_y = u.y / p.kernel_h, window_x = u.x / p.kernel_w;
  if (window_y >= p.small_h || window_x >= p.small_w) return;
  const std::int64_t row = (u.image * p.small_h + window_y) * p.small_w + window_x;
  const Vector<T, V> dy = load_vector<V>(p.dy + row * p.dy_pitch + u.channel);
  const auto positions = static_cast<Accumulator<T>>(p.kernel_h * p.kernel_w);
  for (int k = 0; k < V; ++k) value[k] += widen(dy[k]) / positions;
}

template <Pooling kPooling, int V, typename T>
MSD_DEVICE void pool_block(const Pool<T>& p, unsigned block) {
  constexpr bool kForward = kPooling == Pooling::max_forward || kPooling == Pooling::avg_forward;
  const unsigned index = block * kThreads + threadIdx.x;
  if (index >= p.units) return;
  const Unit u = unit_at(index, p.channels, kForward ? p.small_h : p.large_h,
                         kForward ? p.small_w : p.large_w, V);
  T* to = p.out + u.row * p.out_pitch + u.channel;
  Accumulator<T> value[V] = {};
  if (p.accumulate) {
    const Vector<T, V> before = load_vector<V>(to);
    for (int k = 0; k < V; ++k) value[k] = widen(before[k]);
  }
  if constexpr (kPooling == Pooling::max_forward) max_of_window<V>(p, u, value);
  if constexpr (kPooling == Pooling::max_backward) add_won_windows<V>(p, u, value);
  if constexpr (kPooling == Pooling::avg_forward) mean_of_window<V>(p, u, value);
  if constexpr (kPooling == Pooling::avg_backward) add_share<V>(p, u, value);
  Vector<T, V> result;
  for (int k = 0; k < V; ++k) result[k] = narrow<T>(value[k]);
  store_vector(to, result);
}

template <Pooling kPooling, typename T>
__global__ void __launch_bounds__(kThreads, kResident)
    pool_kernel(const __grid_constant__ ProblemTable<Pool<T>> table) {
  const BlockTask task = block_task(table);
  const Pool<T>& p = table.problems[task.problem];
  if (p.vectors) {
    pool_block<kPooling, kVector<T>>(p, task.index);
  } else {
    pool_block<kPooling, 1>(p, task.index);
  }
}

int narrow_size(std::int64_t size) {
  MSD_CHECK(size <= 0x3FFFFFFF, "pooling: a size of ", size);
  return static_cast<int>(size);
}

/// x, dy: null data where the op has none.
template <typename T>
Pool<T> pool_of(const ConstView& x, const ConstView& dy, const View& out, const ConstView& large,
                const ConstView& small) {
  Pool<T> p = {};
  p.x = x.as<T>(), p.dy = dy.as<T>(), p.out = out.as<T>();
  p.x_pitch = x.pitch, p.dy_pitch = dy.pitch, p.out_pitch = out.pitch;
  p.large_h = narrow_size(large.h), p.large_w = narrow_size(large.w);
  p.small_h = narrow_size(small.h), p.small_w = narrow_size(small.w);
  p.vectors = true;
  for (const ConstView& view : {x, dy, ConstView(out)}) {
    p.vectors = p.vectors && (view.data == nullptr ||
                              in_vectors(view.data, out.c, view.pitch, view.rows(), kVector<T>));
  }
  const std::int64_t channels = p.vectors ? out.c / kVector<T> : out.c;
  MSD_CHECK(out.rows() * channels <= 0x7FFFFFFF - kThreads, "pooling: ", out.rows() * channels,
            " units of ", ConstView(out));
  p.channels = static_cast<unsigned>(channels);
  p.units = static_cast<unsigned>(out.rows() * channels);
  return p;
}

template <typename T>
Pool<T> with_windows(Pool<T> p, const PoolGeometry& g) {
  p.kernel_h = p.kernel_w = narrow_size(g.kernel);
  p.stride_h = p.stride_w = narrow_size(g.stride);
  p.padding = narrow_size(g.padding);
  return p;
}
template <typename T>
Pool<T> with_windows(Pool<T> p, std::int64_t kernel_h, std::int64_t kernel_w) {
  p.kernel_h = p.stride_h = narrow_size(kernel_h);
  p.kernel_w = p.stride_w = narrow_size(kernel_w);
  return p;
}

template <typename T>
Pool<T> problem_of(const MaxPoolForwardArgs& args) {
  return with_windows(pool_of<T>(args.x, {}, args.y, args.x, args.y), args.geometry);
}
template <typename T>
Pool<T> problem_of(const MaxPoolBackwardArgs& args) {
  Pool<T> p = pool_of<T>(args.x, args.dy, args.dx, args.x, args.dy);
  p.accumulate = args.accumulate;
  return with_windows(p, args.geometry);
}
template <typename T>
Pool<T> problem_of(const AvgPoolForwardArgs& args) {
  return with_windows(pool_of<T>(args.x, {}, args.y, args.x, args.y), args.kernel_h, args.kernel_w);
}
template <typename T>
Pool<T> problem_of(const AvgPoolBackwardArgs& args) {
  Pool<T> p = pool_of<T>({}, args.dy, args.dx, args.dx, args.dy);
  p.accumulate = args.accumulate;
  return with_windows(p, args.kernel_h, args.kernel_w);
}

/// out: what the op writes.
template <Pooling kPooling, typename Args>
void pool(const char* op, const Context& context, std::span<const Args> group, View Args::*out) {
  by_dtype(
      op, ActivationTypes{}, context, group, out,
      [&](const Args& args) { return (args.*out).elems() > 0; },
      [&]<typename T>(const Args& args, void*) { return problem_of<T>(args); },
      [&]<typename T>(std::span<const Pool<T>> problems) {
        launch_over(context, pool_kernel<kPooling, T>, problems, kThreads,
                    [](const Pool<T>& p) { return ceil_div(p.units, kThreads); });
      });
}

}  // namespace

void max_pool_forward(Context& context, std::span<const MaxPoolForwardArgs> group) {
  pool<Pooling::max_forward>("max_pool_forward", context, group, &MaxPoolForwardArgs::y);
}
void max_pool_backward(Context& context, std::span<const MaxPoolBackwardArgs> group) {
  pool<Pooling::max_backward>("max_pool_backward", context, group, &MaxPoolBackwardArgs::dx);
}
void avg_pool_forward(Context& context, std::span<const AvgPoolForwardArgs> group) {
  pool<Pooling::avg_forward>("avg_pool_forward", context, group, &AvgPoolForwardArgs::y);
}
void avg_pool_backward(Context& context, std::span<const AvgPoolBackwardArgs> group) {
  pool<Pooling::avg_backward>("avg_pool_backward", context, group, &AvgPoolBackwardArgs::dx);
}

}  // namespace msd::cuda
