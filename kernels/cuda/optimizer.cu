// SPDX-License-Identifier: MIT
// sgd: g = grad + decay*w; v = momentum*v + g; w -= lr*(nesterov ? g + momentum*v : v), where the
//   mask is not 0. finite_check: the first index of a NaN or an infinity, or -1.
// Layout: flat buffers; 16 bytes at a time where addresses and count allow it.
// Accumulation: sgd in the element's type with fused multiply-adds, 2 roundings an addend.
// Deterministic: no sums; finite_check takes minima of block minima.
// Launch: blocks of 256 threads. finite_check: a minimum a block of kCheckElems elements into the
//   workspace, then one block a problem.
// Bytes: sgd 20 a float (21 with a mask), 6 to 8 FLOPs; finite_check 4. Never ran on a GPU yet.
#include "kernels/check.h"
#include "kernels/cuda/device/group.cuh"
#include "kernels/cuda/device/ops.h"

namespace msd::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kUnits = 2;           // vectors a thread of sgd
constexpr int kCheckElems = 16384;  // elements a block of finite_check
constexpr std::int64_t kNone = 0x7FFFFFFFFFFFFFFF;

template <typename T>
struct Step {
  T* weight;
  const T* gradient;
  T* velocity;
  const std::uint8_t* mask;
  std::int64_t count;  // in vectors where `vectors`
  const double* lr;
  T momentum, decay;
  bool nesterov, vectors;
};

template <int V, typename T>
MSD_DEVICE void step_block(const Step<T>& p, unsigned block) {
  const T lr = static_cast<T>(*p.lr);
  for (int i = 0; i < kUnits; ++i) {
    const std::int64_t unit = (std::int64_t{block} * kUnits + i) * kThreads + threadIdx.x;
    if (unit >= p.count) return;
    const std::int64_t at = unit * V;
    Vector<std::uint8_t, V> live;
    if (p.mask != nullptr) live = load_vector<V>(p.mask + at);
    Vector<T, V> weight = load_vector<V>(p.weight + at);
    Vector<T, V> velocity = load_vector<V>(p.velocity + at);
    const Vector<T, V> gradient = load_vector<V>(p.gradient + at);
    for (int k = 0; k < V; ++k) {
      if (p.mask != nullptr && live[k] == 0) continue;
      const T g = multiply_add(p.decay, weight[k], gradient[k]);
      velocity[k] = multiply_add(p.momentum, velocity[k], g);
      const T direction = p.nesterov ? multiply_add(p.momentum, velocity[k], g) : velocity[k];
      weight[k] = multiply_add(-lr, direction, weight[k]);
    }
    store_vector(p.weight + at, weight);
    store_vector(p.velocity + at, velocity);
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    sgd_kernel(const __grid_constant__ ProblemTable<Step<T>> table) {
  const BlockTask task = block_task(table);
  const Step<T>& p = table.problems[task.problem];
  if (p.vectors) {
    step_block<kVector<T>>(p, task.index);
  } else {
    step_block<1>(p, task.index);
  }
}

template <typename T>
struct Check {
  const T* data;
  std::int64_t count;
  std::int64_t* first_bad;
  std::int64_t* minima;  // [blocks()], in the workspace

  __host__ __device__ std::int64_t blocks() const {
    return (count + kCheckElems - 1) / kCheckElems;
  }
};

/// The smallest of the block's values, in thread 0.
MSD_DEVICE std::int64_t block_min(std::int64_t value) {
  MSD_SHARED(std::int64_t, of_warp, kThreads / kWarpSize);
  value = warp_min(value);
  if (lane_index() == 0) of_warp[threadIdx.x / kWarpSize] = value;
  block_sync();
  if (threadIdx.x == 0) {
    for (const std::int64_t other : of_warp) value = other < value ? other : value;
  }
  return value;
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    first_bad_kernel(const __grid_constant__ ProblemTable<Check<T>> table) {
  const BlockTask task = block_task(table);
  const Check<T>& p = table.problems[task.problem];
  const std::int64_t begin = std::int64_t{task.index} * kCheckElems;
  const std::int64_t end = p.count < begin + kCheckElems ? p.count : begin + kCheckElems;
  std::int64_t first = kNone;
  for (std::int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
    const T x = p.data[i];
    if (!(x - x == T{0}) && i < first) first = i;
  }
  first = block_min(first);
  if (threadIdx.x == 0) p.minima[task.index] = first;
}

/// A block a problem.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    first_of_problem_kernel(const __grid_constant__ ProblemTable<Check<T>> table) {
  const Check<T>& p = table.problems[block_task(table).problem];
  std::int64_t first = kNone;
  for (std::int64_t i = threadIdx.x; i < p.blocks(); i += kThreads) {
    first = p.minima[i] < first ? p.minima[i] : first;
  }
  first = block_min(first);
  if (threadIdx.x == 0) *p.first_bad = first == kNone ? -1 : first;
}

bool aligned(const void* pointer, std::size_t bytes) {
  return reinterpret_cast<std::uintptr_t>(pointer) % bytes == 0;
}

template <typename T>
Step<T> step_of(const SgdArgs& args) {
  Step<T> p = {static_cast<T*>(args.weight),
               static_cast<const T*>(args.gradient),
               static_cast<T*>(args.velocity),
               args.mask,
               args.count,
               args.lr,
               static_cast<T>(args.momentum),
               static_cast<T>(args.weight_decay),
               args.nesterov,
               false};
  p.vectors = args.count % kVector<T> == 0 && aligned(args.weight, 16) &&
              aligned(args.gradient, 16) && aligned(args.velocity, 16) &&
              aligned(args.mask, kVector<T>);
  if (p.vectors) p.count /= kVector<T>;
  return p;
}

}  // namespace

void sgd(Context& context, std::span<const SgdArgs> group) {
  by_dtype(
      "sgd", FloatTypes{}, context, group, &SgdArgs::dtype,
      [](const SgdArgs& args) { return args.count > 0; },
      [&]<typename T>(const SgdArgs& args, void*) { return step_of<T>(args); },
      [&]<typename T>(std::span<const Step<T>> problems) {
        launch_over(context, sgd_kernel<T>, problems, kThreads,
                    [](const Step<T>& p) { return ceil_div(p.count, kThreads * kUnits); });
      });
}

void finite_check(Context& context, std::span<const FiniteCheckArgs> group) {
  constexpr std::int64_t kMostElems = kShareBytes / 8 * kCheckElems;
  for (const FiniteCheckArgs& args : group) {
    MSD_CHECK(args.count <= kMostElems, "finite_check: ", args.count, " elements, at most ",
              kMostElems);
  }
  by_dtype(
      "finite_check", FloatTypes{}, context, group, &FiniteCheckArgs::dtype,
      [&]<typename T>(const FiniteCheckArgs& args, void* share) {
        return Check<T>{static_cast<const T*>(args.data), args.count, args.first_bad,
                        static_cast<std::int64_t*>(share)};
      },
      [&]<typename T>(std::span<const Check<T>> problems) {
        launch_over(context, first_bad_kernel<T>, problems, kThreads,
                    [](const Check<T>& p) { return p.blocks(); });
        launch_over(context, first_of_problem_kernel<T>, problems, kThreads,
                    [](const Check<T>&) { return 1; });
      });
}

}  // namespace msd::cuda
