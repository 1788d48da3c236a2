// SPDX-License-Identifier: MIT
// Graphs: work captured from streams with its order, replayed in any order that keeps it.
#include <algorithm>

#include "kernels/error.h"
#include "tests/emulation/device_state.h"

namespace msd::emulation {
namespace {

/// Whether the ends of all capturing streams lead to `tail`.
bool all_joined(const Capture& capture, const std::vector<std::size_t>& tail) {
  std::vector<bool> seen(capture.nodes.size(), false);
  std::vector<std::size_t> open = tail;
  while (!open.empty()) {
    const std::size_t node = open.back();
    open.pop_back();
    if (seen[node]) continue;
    seen[node] = true;
    open.insert(open.end(), capture.nodes[node].after.begin(), capture.nodes[node].after.end());
  }
  return std::all_of(seen.begin(), seen.end(), [](bool joined) { return joined; });
}

cudaError_t replay(const std::vector<Capture::Node>& nodes) {
  std::vector<bool> done(nodes.size(), false);
  for (std::size_t count = 0; count < nodes.size(); ++count) {
    std::vector<std::size_t> choices;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      const auto is_done = [&](std::size_t before) { return done[before]; };
      if (!done[i] && std::all_of(nodes[i].after.begin(), nodes[i].after.end(), is_done)) {
        choices.push_back(i);
      }
    }
    const std::size_t next = choices[device().random.below(choices.size())];
    if (const cudaError_t error = nodes[next].work(); error != cudaSuccess) return error;
    done[next] = true;
  }
  return cudaSuccess;
}

}  // namespace
}  // namespace msd::emulation

using namespace msd::emulation;

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode) {
  CUstream_st* stream = find_stream(handle);
  if (stream == nullptr) return report(cudaErrorInvalidResourceHandle, "no such stream");
  if (handle == nullptr) {
    return report(cudaErrorStreamCaptureUnsupported, "the default stream cannot capture");
  }
  if (stream->capture != nullptr)
    return report(cudaErrorInvalidValue, "the stream captures already");
  stream->capture = std::make_shared<Capture>();
  stream->capture->origin = handle;
  stream->tail.clear();
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  CUstream_st* stream = find_stream(handle);
  *graph = nullptr;
  if (stream == nullptr || stream->capture == nullptr || stream->capture->origin != handle) {
    return report(cudaErrorInvalidValue, "this stream did not begin a capture");
  }
  const std::shared_ptr<Capture> capture = stream->capture;
  const bool joined = all_joined(*capture, stream->tail);
  for (CUstream_st* other : device().streams) {
    if (other->capture != capture) continue;
    other->capture = nullptr;
    other->tail.clear();
  }
  if (!joined) {
    return report(cudaErrorStreamCaptureUnjoined, "work on another stream was not waited for");
  }
  *graph = new CUgraph_st{capture->nodes};
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  const CUstream_st* stream = find_stream(handle);
  if (stream == nullptr) return report(cudaErrorInvalidResourceHandle, "no such stream");
  *status =
      stream->capture != nullptr ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long) {
  *executable = new CUgraphExec_st{std::make_shared<const CUgraph_st>(*graph)};
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  return submit(stream, [graph = executable->graph] { return replay(graph->nodes); });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}
