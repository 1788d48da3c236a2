// SPDX-License-Identifier: MIT
// The plugin's one function and its table. Exceptions end here: they become text.
// Never ran on a GPU yet.
#include "kernels/libraries/plugin.h"

#include <cstdio>
#include <exception>

#include "kernels/check.h"
#include "kernels/libraries/cudnn/session.h"

namespace msd::cudnn {
namespace {

using cuda::AlgorithmKey;
using cuda::Candidate;
using cuda::ChoosableOp;
using cuda::Operands;

void say(const char* what, char* error) {
  std::snprintf(error, cuda::kPluginErrorBytes, "%s", one_line(what).c_str());
}

template <typename Result, typename Body>
Result guarded(Result failed, char* error, Body body) {
  try {
    return body();
  } catch (const std::exception& exception) {
    say(exception.what(), error);
  }
  return failed;
}

std::int64_t bytes_of(const CompiledGraph& plan) { return plan.workspace_bytes(); }
std::int64_t bytes_of(const Matmul& matmul) { return matmul.workspace_bytes; }

/// A candidate from how plans are made, kept and run.
template <auto kPlans, auto kMake, auto kRun>
constexpr Candidate candidate(ChoosableOp op, const char* algorithm, bool dense_weight) {
  return {.op = op,
          .algorithm = algorithm,
          // Only repeatable plans are taken; but which, and how it sums, depends on n.
          .repeatable = true,
          .batch_invariant = false,
          .dense_weight = dense_weight,
          .prepare = [](void* opaque, const AlgorithmKey* key, std::int64_t most_bytes,
                        char* error) -> std::int64_t {
            return guarded(std::int64_t{-1}, error, [&] {
              auto& session = *static_cast<Session*>(opaque);
              auto& graphs = session.*kPlans;
              auto found = graphs.find(*key);
              if (found == graphs.end()) {
                found = graphs.emplace(*key, kMake(session, *key, most_bytes)).first;
              }
              std::int64_t bytes = 0;
              for (const auto& plan : found->second) bytes = std::max(bytes, bytes_of(plan));
              return bytes;
            });
          },
          .run =
              [](void* opaque, const AlgorithmKey* key, const Operands* operands, char* error) {
                return guarded(-1, error, [&] {
                  auto& session = *static_cast<Session*>(opaque);
                  kRun(session, *key, (session.*kPlans).at(*key), *operands);
                  return 0;
                });
              }};
}

constexpr auto convolution(ChoosableOp op) {
  return candidate<&Session::graphs, compile_convolution, run_convolution>(
      op, "cudnn", op != ChoosableOp::conv_backward_weight);
}
constexpr auto batchnorm(ChoosableOp op) {
  return candidate<&Session::graphs, compile_batchnorm, run_batchnorm>(op, "cudnn", false);
}
constexpr auto matmul(ChoosableOp op) {
  return candidate<&Session::matmuls, plan_matmuls, run_matmuls>(op, "cublaslt", false);
}

constexpr Candidate kCandidates[] = {convolution(ChoosableOp::conv_forward),
                                     matmul(ChoosableOp::conv_forward),
                                     convolution(ChoosableOp::conv_backward_data),
                                     matmul(ChoosableOp::conv_backward_data),
                                     convolution(ChoosableOp::conv_backward_weight),
                                     matmul(ChoosableOp::conv_backward_weight),
                                     batchnorm(ChoosableOp::batchnorm_forward),
                                     batchnorm(ChoosableOp::batchnorm_backward),
                                     matmul(ChoosableOp::linear_forward),
                                     matmul(ChoosableOp::linear_backward)};

const char* libraries() {
  static const std::string text = [] {
    int driver = 0;
    cudaDriverGetVersion(&driver);
    return message("cudnn ", cudnnGetVersion(), ", cublaslt ", cublasLtGetVersion(), ", driver ",
                   driver);
  }();
  return text.c_str();
}

void* open_session(CUstream_st* stream, char* error) {
  return guarded<void*>(nullptr, error, [&]() -> void* { return new Session(stream); });
}
void close_session(void* session) { delete static_cast<Session*>(session); }

}  // namespace
}  // namespace msd::cudnn

extern "C" __attribute__((visibility("default"))) const msd::cuda::PluginTable* msd_cuda_plugin(
    int version, char* error) {
  using namespace msd::cudnn;
  if (version != msd::cuda::kPluginVersion) {
    say("the plugin is of another version than the program", error);
    return nullptr;
  }
  if (cudnnGetVersion() / 10000 != CUDNN_MAJOR) {
    say("the cuDNN found is of another major version than the one built for", error);
    return nullptr;
  }
  static const msd::cuda::PluginTable table = {msd::cuda::kPluginVersion,
                                               static_cast<int>(std::size(kCandidates)),
                                               kCandidates,
                                               libraries(),
                                               open_session,
                                               close_session};
  return &table;
}
