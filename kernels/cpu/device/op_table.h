// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "kernels/cpu/device/thread_pool.h"
#include "kernels/ops.h"

namespace msd::cpu {

/// The CPU bodies are compiled once for each instruction set, from the same sources.
enum class Isa : std::uint8_t { generic, avx2, avx512 };

std::string_view name(Isa isa);

/// One instruction set's bodies, a function pointer for each op of the list.
struct OpTable {
#define MSD_OP(name, Args, cuda_state) void (*name)(ThreadPool&, std::span<const Args>);
#include "kernels/op_list.inc"
#undef MSD_OP
};

/// Instruction sets this build has bodies for and this CPU can run, slowest first.
std::vector<Isa> available_isas();

/// The bodies of `isa`; throws ConfigError where it is not available.
const OpTable& op_table(Isa isa);

/// The best available, or the one the environment variable MSD_CPU_ISA names
/// (generic | avx2 | avx512); throws ConfigError where that is unknown or not available.
Isa default_isa();

}  // namespace msd::cpu
