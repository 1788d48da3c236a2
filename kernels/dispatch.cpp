// SPDX-License-Identifier: MIT
#include "kernels/cpu/device/op_table.h"
#include "kernels/cuda/device/context.h"
#include "kernels/cuda/device/ops.h"
#include "kernels/cuda/device/stream.h"
#include "kernels/error.h"
#include "kernels/ops.h"

namespace msd {

#define MSD_OP(name, Args, cuda_state)                                \
  void name(ExecutionContext& context, std::span<const Args> group) { \
    for (const Args& args : group) args.check();                      \
    if (context.device == DeviceType::cuda) {                         \
      const cuda::ProfilerRange range(#name);                         \
      cuda::name(*context.cuda, group);                               \
      cuda::finish_op(*context.cuda, #name);                          \
      return;                                                         \
    }                                                                 \
    context.cpu_ops->name(*context.pool, group);                      \
  }
#include "kernels/op_list.inc"
#undef MSD_OP

std::vector<std::string_view> op_names() {
  return {
#define MSD_OP(name, Args, cuda_state) #name,
#include "kernels/op_list.inc"
#undef MSD_OP
  };
}

void require_all_ops(DeviceType device) {
  if (device == DeviceType::cpu) return;
  std::string missing;
  for (const std::string_view op : cuda::missing_ops()) {
    missing += (missing.empty() ? "" : ", ") + std::string(op);
  }
  if (!missing.empty()) {
    throw ConfigError("--device cuda: not yet available on CUDA: " + missing +
                      "; use --device cpu");
  }
}

}  // namespace msd
