// SPDX-License-Identifier: MIT
// For the sources compiled once per instruction set (MSD_ISA = generic, avx2, avx512): declares the
// op bodies inside namespace msd::cpu::MSD_ISA. Keep everything these sources define in that
// namespace: a function shared between the copies would be linked with any one's instructions.
#pragma once

#include "kernels/cpu/device/op_table.h"
#include "kernels/cpu/device/thread_pool.h"

#ifndef MSD_ISA
#error "compile this source once per instruction set, with MSD_ISA defined"
#endif

namespace msd::cpu::MSD_ISA {

#define MSD_OP(name, Args, cuda_state) void name(ThreadPool& pool, std::span<const Args> group);
#include "kernels/op_list.inc"
#undef MSD_OP

// Not std::min and std::max, whose copies would be one for all instruction sets.
constexpr std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
constexpr std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }

/// Runs `body.template operator()<T>()` with T = float or double.
template <typename Body>
inline void for_dtype(DType dtype, Body&& body) {
  if (dtype == DType::f64) {
    body.template operator()<double>();
  } else {
    body.template operator()<float>();
  }
}

}  // namespace msd::cpu::MSD_ISA
