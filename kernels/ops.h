// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "kernels/contracts/batchnorm.h"
#include "kernels/contracts/classification.h"
#include "kernels/contracts/convolution.h"
#include "kernels/contracts/exits.h"
#include "kernels/contracts/image.h"
#include "kernels/contracts/linear.h"
#include "kernels/contracts/movement.h"
#include "kernels/contracts/optimizer.h"
#include "kernels/contracts/pooling.h"

namespace msd {

enum class DeviceType : std::uint8_t { cpu, cuda };

namespace cpu {
class ThreadPool;
struct OpTable;
}  // namespace cpu
namespace cuda {
struct Context;
}  // namespace cuda

/// Where ops run: a device and what its backend needs. Borrowed from the Runtime that owns it.
/// Not thread-safe: one context serves one thread at a time.
struct ExecutionContext {
  DeviceType device = DeviceType::cpu;
  cpu::ThreadPool* pool = nullptr;        // CPU: threads and their scratch memory
  const cpu::OpTable* cpu_ops = nullptr;  // CPU: the bodies for one instruction set
  cuda::Context* cuda = nullptr;  // CUDA: stream and workspace (kernels/cuda/device/context.h)
};

// For each op of the list:
//   void NAME(ExecutionContext&, std::span<const ARGS> group)
// checks the contract of every problem of the group, then runs the group on the context's device;
// on CUDA it may return before the work is done, in the order of the context's stream.
// The problems of a group are independent: none writes what another reads or writes.
#define MSD_OP(name, Args, cuda_state) \
  void name(ExecutionContext& context, std::span<const Args> group);
#include "kernels/op_list.inc"
#undef MSD_OP

/// The names of all ops, in the list's order.
std::vector<std::string_view> op_names();

/// Throws ConfigError naming the ops that `device` cannot run in this build; call at start-up.
void require_all_ops(DeviceType device);

}  // namespace msd
