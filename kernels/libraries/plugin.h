// SPDX-License-Identifier: MIT
// The plugin with algorithms of NVIDIA's libraries (kernels/libraries/cudnn), a shared library that
// is opened at run time: the program itself needs neither cuDNN nor cuBLASLt. No exception crosses
// the seam: its functions say what went wrong in `error`, which holds kPluginErrorBytes.
#pragma once

#include <span>
#include <string>

#include "kernels/cuda/device/context.h"
#include "kernels/libraries/algorithm_key.h"

namespace msd::cuda {

inline constexpr int kPluginErrorBytes = 1024;

/// One algorithm for one op.
struct Candidate {
  ChoosableOp op;
  const char* algorithm;  // "cudnn", "cublaslt"
  bool repeatable;        // same operands, same bits
  bool batch_invariant;   // an image's bits depend neither on n nor on its place in the batch
  bool dense_weight;      // wants `weight` as [cout][kh][kw][cin], not as conv_pack leaves it
  /// Makes a plan for such problems, once, and returns the bytes of workspace it needs, of at most
  /// `most_bytes`; or -1 where there is none, and why.
  std::int64_t (*prepare)(void* session, const AlgorithmKey* key, std::int64_t most_bytes,
                          char* error);
  /// Submits a problem whose plan was made to the session's stream. Returns 0, or -1 and why.
  int (*run)(void* session, const AlgorithmKey* key, const Operands* operands, char* error);
};

/// What the plugin's one function hands out. Changes with every change of a struct it speaks of.
inline constexpr int kPluginVersion = 2;
struct PluginTable {
  int version;
  int candidate_count;
  const Candidate* candidates;
  const char* libraries;  // "cudnn 9.19.0, cublaslt 13.0.2": what timings depend on
  /// Library handles and plans for one stream; null, and why.
  void* (*open)(CUstream_st* stream, char* error);
  void (*close)(void* session);
};
/// extern "C" const PluginTable* msd_cuda_plugin(int version, char* error): null where it is of
/// another version, or its libraries can't be used: then `error` says why.
using PluginEntry = const PluginTable* (*)(int version, char* error);
inline constexpr const char* kPluginEntry = "msd_cuda_plugin";

struct FoundPlugin {
  const PluginTable* table = nullptr;
  std::string why_not;  // one line, where table is null
};
/// Opens the first libmsd_cudnn.so among: $MSD_CUDNN_PLUGIN (that or none), the program's folder,
/// ../lib of it. It stays open, as libraries it brings in can't be unloaded safely.
FoundPlugin open_plugin();

/// A plugin at work on one stream. Serves one thread.
class PluginSession {
 public:
  /// Throws CudaError saying why the libraries can't be used.
  PluginSession(const PluginTable& table, CUstream_st* stream);
  PluginSession(const PluginSession&) = delete;
  PluginSession& operator=(const PluginSession&) = delete;
  ~PluginSession() { table_.close(session_); }

  std::span<const Candidate> candidates() const {
    return {table_.candidates, static_cast<std::size_t>(table_.candidate_count)};
  }
  std::string libraries() const { return table_.libraries; }
  /// Whether there is a plan that needs at most the workspace; if not, `why_not`.
  bool prepare(const Candidate& candidate, const AlgorithmKey& key, std::string& why_not);
  /// Throws CudaError.
  void run(const Candidate& candidate, const AlgorithmKey& key, const Operands& operands);

 private:
  const PluginTable& table_;
  void* session_;
};

/// Bytes of workspace that a problem's weights take as [cout][kh][kw][cin], rounded up to 256.
std::int64_t dense_weight_bytes(const AlgorithmKey& key);

}  // namespace msd::cuda
