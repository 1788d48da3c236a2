// SPDX-License-Identifier: MIT
// What the ops of a test binary run on. The same tests are linked with backend_cpu.cpp
// (kernels_test), backend_emulated.cpp (kernels_emulated_test: the CUDA bodies on the emulated
// device) or backend_gpu.cpp (kernels_cuda_test).
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/ops.h"

namespace msd::test::backend {

/// Why the op cannot run here, to be shown as the reason of a skip; empty where it can.
std::string why_not(std::string_view op);
/// A reason that is a failure, as somebody asked for it: MSD_REQUIRE_GPU=1 without a GPU.
bool must_run();

/// One way to run an op. Ops wait for their work, so that results are there when they return.
struct Variant {
  std::string name;    // "avx2, 2 threads"
  std::string family;  // within one, all variants give the same bits
  ExecutionContext context;
};
/// Visits all ways in turn, each with scratch memory full of poison, until visit() returns false.
/// A family's first variant comes first.
void for_each_variant(const std::function<bool(Variant&)>& visit);

/// One context; `threads` (1 to 3) is for the CPU.
ExecutionContext context(int threads);
/// One context for every set of bodies: an instruction set each, or the device.
std::vector<ExecutionContext> contexts();

/// Memory that ops may be given.
void* allocate(std::size_t bytes);
void release(void* memory);

}  // namespace msd::test::backend
