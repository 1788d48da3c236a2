// SPDX-License-Identifier: MIT
// Bodies of the ops that the list marks not_yet for CUDA. An op marked `ready` has its body in a
// .cu file; a build without CUDA (MSD_CUDA_ENABLED=0) takes every body from here.
#include "kernels/check.h"
#include "kernels/cuda/device/ops.h"

#ifndef MSD_CUDA_ENABLED
#define MSD_CUDA_ENABLED 0
#endif

namespace msd::cuda {
namespace {

[[maybe_unused]] constexpr bool not_yet = true;
[[maybe_unused]] constexpr bool ready = !MSD_CUDA_ENABLED;

[[maybe_unused, noreturn]] void throw_missing(std::string_view op) {
  throw ConfigError(message(op, ": not yet available on CUDA; use --device cpu"));
}

}  // namespace

#define MSD_CUDA_BODY_not_yet(name, Args) \
  void name(Context&, std::span<const Args>) { throw_missing(#name); }
#if MSD_CUDA_ENABLED
#define MSD_CUDA_BODY_ready(name, Args)
#else
#define MSD_CUDA_BODY_ready(name, Args) MSD_CUDA_BODY_not_yet(name, Args)
#endif
#define MSD_OP(name, Args, cuda_state) MSD_CUDA_BODY_##cuda_state(name, Args)
#include "kernels/op_list.inc"
#undef MSD_OP

std::vector<std::string_view> missing_ops() {
  std::vector<std::string_view> names;
#define MSD_OP(name, Args, cuda_state) \
  if (cuda_state) names.push_back(#name);
#include "kernels/op_list.inc"
#undef MSD_OP
  return names;
}

}  // namespace msd::cuda
