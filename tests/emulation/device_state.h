// SPDX-License-Identifier: MIT
// What the files of the emulated runtime share. Sanitized, on the host's side only.
#pragma once

#include <cuda_runtime.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/emulation/emulation.h"

namespace msd::emulation {

class RandomChoice {
 public:
  void seed(std::uint64_t seed) { state_ = seed; }
  std::size_t below(std::size_t bound);

 private:
  std::uint64_t state_ = 1;
};

using Work = std::function<cudaError_t()>;

/// A graph while it is captured: nodes, each after those it names.
struct Capture {
  struct Node {
    Work work;
    std::vector<std::size_t> after;
  };
  std::vector<Node> nodes;
  cudaStream_t origin = nullptr;
};

/// One recording of an event.
struct Record {
  bool done = false;
  std::chrono::steady_clock::time_point time;
  std::shared_ptr<Capture> capture;  // where it was recorded into a graph
  std::vector<std::size_t> nodes;
};

struct Operation {
  Work work;
  std::shared_ptr<const Record> wait;  // runs once this is done
};

}  // namespace msd::emulation

struct CUstream_st {
  std::deque<msd::emulation::Operation> pending;
  std::shared_ptr<msd::emulation::Capture> capture;  // not null while capturing
  std::vector<std::size_t> tail;                     // the captured nodes that the next one follows
};
struct CUevent_st {
  std::shared_ptr<msd::emulation::Record> record;  // the latest; nullptr: none yet
};
struct CUgraph_st {
  std::vector<msd::emulation::Capture::Node> nodes;
};
struct CUgraphExec_st {
  std::shared_ptr<const CUgraph_st> graph;
};

namespace msd::emulation {

struct DeviceState {
  Settings settings;
  RandomChoice random;
  CUstream_st default_stream;
  std::vector<CUstream_st*> streams{&default_stream};
  cudaError_t sticky = cudaSuccess, last = cudaSuccess;
  cudaError_t explained = cudaSuccess;  // the error that `explanation` is about
  std::string explanation;
  std::int64_t threads_run = 0;
};
DeviceState& device();

/// Keeps an error for cudaGetLastError and returns it.
cudaError_t report(cudaError_t error, std::string explanation = {});
/// The same, for an error after which the device does nothing more.
cudaError_t report_sticky(cudaError_t error, std::string explanation);

/// The stream behind a handle, or nullptr where there is none.
CUstream_st* find_stream(cudaStream_t stream);
/// Adds work to a stream, or a node to the graph it captures.
cudaError_t submit(cudaStream_t stream, Work work);
/// Runs operations of any stream until done() says so.
cudaError_t run_until(const std::function<bool()>& done);
/// Runs a few operations, or none, as time passes between two queries.
void run_a_little();
/// An error where a stream captures and must not be waited for.
cudaError_t check_not_capturing();

}  // namespace msd::emulation
