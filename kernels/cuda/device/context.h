// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

struct CUstream_st;  // what CUDA's cudaStream_t points to

namespace msd::cuda {

class AlgorithmChooser;

/// Bytes of workspace every context must have; ops cut their work so that it does.
inline constexpr std::int64_t kWorkspaceBytes = 16 << 20;

/// What the CUDA bodies of the ops need: where to put their kernels, and memory for what one op's
/// kernels hand on to each other. Borrowed from who made it; serves one thread and one stream.
struct Context {
  CUstream_st* stream = nullptr;
  void* workspace = nullptr;  // kWorkspaceBytes of device memory, aligned to 256
  int multiprocessors = 1;    // of the device; how much work is worth a launch, never its result
  bool allow_tf32 = false;    // f32 products may round their factors to tf32
  bool blocking = false;      // each op waits for its kernels and reports their faults as its own
  bool capturing = false;     // ops are recorded into a graph instead of run
  AlgorithmChooser* algorithms = nullptr;  // by_algorithm.h; null: the handwritten kernels
};

/// After each op; waits where the context is blocking. Throws CudaError.
void finish_op(const Context& context, const char* op);

}  // namespace msd::cuda
