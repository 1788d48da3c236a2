// SPDX-License-Identifier: MIT
// One launch over all problems of a group: their descriptors travel as a kernel argument, and each
// block finds the problem it belongs to and its index among that problem's blocks.
#pragma once

#include <span>
#include <utility>

#include "kernels/cuda/device/context.h"
#include "kernels/cuda/device/device_code.cuh"
#include "kernels/cuda/device/elements.cuh"
#include "kernels/view.h"

namespace msd::cuda {

inline constexpr int kMostProblems = 8;  // a layer of MSDNet has up to 2*scales - 1 = 7 branches

/// KernelArgs: what a kernel knows of one problem.
template <typename KernelArgs>
struct ProblemTable {
  KernelArgs problems[kMostProblems];
  unsigned last_block[kMostProblems];  // one past each problem's last block
};

/// A block's problem, and which of the problem's blocks it is.
struct BlockTask {
  int problem;
  unsigned index;
};
template <typename KernelArgs>
MSD_DEVICE BlockTask block_task(const ProblemTable<KernelArgs>& table) {
  int problem = 0;
  while (blockIdx.x >= table.last_block[problem]) ++problem;
  const unsigned first = problem == 0 ? 0 : table.last_block[problem - 1];
  return {problem, blockIdx.x - first};
}

/// One launch over at most kMostProblems problems, blocks(problem) blocks each; nothing where that
/// is none.
template <typename KernelArgs, typename Blocks>
void launch_over(const Context& context, void (*kernel)(ProblemTable<KernelArgs>),
                 std::span<const KernelArgs> problems, unsigned block_threads, Blocks blocks) {
  ProblemTable<KernelArgs> table = {};
  std::int64_t total = 0;
  for (std::size_t i = 0; i < problems.size(); ++i) {
    total += blocks(problems[i]);
    MSD_CHECK(total <= 0x7FFFFFFF, "a launch of ", total, " blocks");
    table.problems[i] = problems[i];
    table.last_block[i] = static_cast<unsigned>(total);
  }
  if (total == 0) return;
  launch(context.stream, static_cast<unsigned>(total), block_threads, 0, kernel, table);
}

/// The workspace's part for one problem of a launch.
inline constexpr std::int64_t kShareBytes = kWorkspaceBytes / kMostProblems;

/// Calls run(problems) for up to kMostProblems at a time of those in the group that are
/// wanted(args); make(args, share) makes KernelArgs, which may use kShareBytes of workspace at
/// `share`.
template <typename KernelArgs, typename Args, typename Wanted, typename Make, typename Run>
void in_batches(const Context& context, std::span<const Args> group, Wanted wanted, Make make,
                Run run) {
  KernelArgs problems[kMostProblems];
  std::size_t count = 0;
  for (const Args& args : group) {
    if (!wanted(args)) continue;
    char* share =
        static_cast<char*>(context.workspace) + static_cast<std::int64_t>(count) * kShareBytes;
    problems[count++] = make(args, static_cast<void*>(share));
    if (count < kMostProblems) continue;
    run(std::span<const KernelArgs>(problems, count));
    count = 0;
  }
  if (count > 0) run(std::span<const KernelArgs>(problems, count));
}

/// Element types an op has CUDA bodies for.
template <typename... T>
struct DTypes {};
using FloatTypes = DTypes<float, double>;
using ActivationTypes = DTypes<float, double, bfloat16>;
using TensorCoreTypes = DTypes<float, bfloat16>;

/// A size for 32-bit arithmetic in a kernel; throws ShapeError naming the op.
inline int narrowed(const char* op, std::int64_t size) {
  MSD_CHECK(size >= 0 && size <= 0x7FFFFFFF, op, ": a size of ", size, "; at most 2147483647");
  return static_cast<int>(size);
}

/// Throws ShapeError where `dtype` is none of the types.
template <typename... T>
void check_dtype(const char* op, DType dtype, DTypes<T...>) {
  MSD_CHECK(((dtype == kDeviceDType<T>) || ...), op, ": no CUDA body for ", name(dtype),
            "; use f32");
}
/// Runs body.template operator()<T>() with each type in turn, for the problems of that type.
template <typename... T, typename Body>
void for_each_dtype(DTypes<T...>, Body&& body) {
  (body.template operator()<T>(), ...);
}

inline DType dtype_of(DType dtype) { return dtype; }
inline DType dtype_of(const ConstView& view) { return view.dtype; }

/// What every op does that comes in several types. `typed`: the member of Args, a view or a dtype,
/// that says which a problem has; throws ShapeError where that is none of Types. Then for each type
/// T in turn those of its problems that are wanted(args) are made by
/// make.template operator()<T>(args, share) and launched by run(std::span<const KernelArgs>); see
/// in_batches.
template <typename Types, typename Args, typename Member, typename Wanted, typename Make,
          typename Run>
void by_dtype(const char* op, Types types, const Context& context, std::span<const Args> group,
              Member Args::*typed, Wanted wanted, Make make, Run run) {
  for (const Args& args : group) check_dtype(op, dtype_of(args.*typed), types);
  for_each_dtype(types, [&]<typename T>() {
    const auto make_one = [&](const Args& args, void* share) {
      return make.template operator()<T>(args, share);
    };
    using KernelArgs = decltype(make_one(std::declval<const Args&>(), nullptr));
    in_batches<KernelArgs>(
        context, group,
        [&](const Args& args) { return dtype_of(args.*typed) == kDeviceDType<T> && wanted(args); },
        make_one, run);
  });
}
template <typename Types, typename Args, typename Member, typename Make, typename Run>
void by_dtype(const char* op, Types types, const Context& context, std::span<const Args> group,
              Member Args::*typed, Make make, Run run) {
  by_dtype(
      op, types, context, group, typed, [](const Args&) { return true; }, make, run);
}

}  // namespace msd::cuda
