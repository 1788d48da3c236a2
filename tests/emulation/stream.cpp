// SPDX-License-Identifier: MIT
// Streams and events: queues of work that run when somebody waits.
#include <algorithm>

#include "kernels/error.h"
#include "tests/emulation/device_space.h"
#include "tests/emulation/device_state.h"

namespace msd::emulation {
namespace {

bool can_run(const CUstream_st& stream) {
  return !stream.pending.empty() &&
         (stream.pending.front().wait == nullptr || stream.pending.front().wait->done);
}

/// Runs the next operation of one stream that has one; false where none has.
bool run_one() {
  DeviceState& state = device();
  std::vector<CUstream_st*> choices;
  for (CUstream_st* stream : state.streams) {
    if (can_run(*stream)) choices.push_back(stream);
  }
  if (choices.empty()) return false;
  const Order order = state.settings.order;
  const std::size_t choice = order == Order::forward   ? 0
                             : order == Order::reverse ? choices.size() - 1
                                                       : state.random.below(choices.size());
  const Operation next = std::move(choices[choice]->pending.front());
  choices[choice]->pending.pop_front();
  if (next.work && next.work() != cudaSuccess && state.sticky != cudaSuccess) {
    for (CUstream_st* stream : state.streams) stream->pending.clear();
  }
  return true;
}

std::vector<std::size_t> merged(std::vector<std::size_t> a, const std::vector<std::size_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  std::sort(a.begin(), a.end());
  a.erase(std::unique(a.begin(), a.end()), a.end());
  return a;
}

/// A stream that captures, or is to, waits for a record of the same capture.
cudaError_t wait_captured(CUstream_st& stream, const Record& record) {
  if (stream.capture != nullptr && stream.capture != record.capture) {
    return report(cudaErrorStreamCaptureUnsupported,
                  "a capturing stream waits for an event recorded outside the capture");
  }
  stream.tail = merged(stream.tail, record.nodes);
  stream.capture = record.capture;
  return cudaSuccess;
}

}  // namespace

CUstream_st* find_stream(cudaStream_t stream) {
  DeviceState& state = device();
  if (stream == nullptr) return &state.default_stream;
  const auto found = std::find(state.streams.begin(), state.streams.end(), stream);
  return found == state.streams.end() ? nullptr : *found;
}

cudaError_t submit(cudaStream_t handle, Work work) {
  if (device().sticky != cudaSuccess) return device().sticky;
  CUstream_st* stream = find_stream(handle);
  if (stream == nullptr) return report(cudaErrorInvalidResourceHandle, "no such stream");
  if (stream->capture == nullptr) {
    stream->pending.push_back({std::move(work), nullptr});
    return cudaSuccess;
  }
  stream->capture->nodes.push_back({std::move(work), stream->tail});
  stream->tail = {stream->capture->nodes.size() - 1};
  return cudaSuccess;
}

cudaError_t run_until(const std::function<bool()>& done) {
  const DeviceAccess access;
  while (device().sticky == cudaSuccess && !done()) {
    if (!run_one()) {
      return report_sticky(cudaErrorLaunchFailure, "the streams wait for each other");
    }
  }
  return device().sticky;
}

void run_a_little() {
  const DeviceAccess access;
  for (std::size_t left = device().random.below(4); left > 0 && run_one(); --left) {
  }
}

cudaError_t check_not_capturing() {
  for (const CUstream_st* stream : device().streams) {
    if (stream->capture != nullptr) {
      return report(cudaErrorStreamCaptureUnsupported, "not allowed while a stream captures");
    }
  }
  return cudaSuccess;
}

}  // namespace msd::emulation

using namespace msd::emulation;

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new CUstream_st;
  device().streams.push_back(*stream);
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  if (stream == nullptr || find_stream(stream) == nullptr) {
    return report(cudaErrorInvalidResourceHandle, "no such stream");
  }
  const cudaError_t status = run_until([stream] { return stream->pending.empty(); });
  auto& streams = device().streams;
  streams.erase(std::find(streams.begin(), streams.end(), stream));
  delete stream;
  return status;
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  const CUstream_st* stream = find_stream(handle);
  if (stream == nullptr) return report(cudaErrorInvalidResourceHandle, "no such stream");
  if (const cudaError_t error = check_not_capturing(); error != cudaSuccess) return error;
  return run_until([stream] { return stream->pending.empty(); });
}

cudaError_t cudaDeviceSynchronize() {
  if (const cudaError_t error = check_not_capturing(); error != cudaSuccess) return error;
  return run_until([] {
    return std::all_of(device().streams.begin(), device().streams.end(),
                       [](const CUstream_st* stream) { return stream->pending.empty(); });
  });
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  const CUstream_st* stream = find_stream(handle);
  if (stream == nullptr) return report(cudaErrorInvalidResourceHandle, "no such stream");
  run_a_little();
  if (device().sticky != cudaSuccess) return device().sticky;
  return stream->pending.empty() ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned) {
  CUstream_st* stream = find_stream(handle);
  if (stream == nullptr) return report(cudaErrorInvalidResourceHandle, "no such stream");
  const std::shared_ptr<Record> record = event->record;
  if (record == nullptr) return cudaSuccess;  // as documented
  if (record->capture != nullptr || stream->capture != nullptr) {
    return wait_captured(*stream, *record);
  }
  stream->pending.push_back({nullptr, record});
  return cudaSuccess;
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* argument) {
  return submit(stream, [function, argument] {
    function(argument);
    return cudaSuccess;
  });
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new CUevent_st;
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
  const CUstream_st* stream = find_stream(handle);
  if (stream == nullptr) return report(cudaErrorInvalidResourceHandle, "no such stream");
  auto record = std::make_shared<Record>();
  event->record = record;
  if (stream->capture != nullptr) {
    record->capture = stream->capture;
    record->nodes = stream->tail;
    return cudaSuccess;
  }
  return submit(handle, [record] {
    record->done = true;
    record->time = std::chrono::steady_clock::now();
    return cudaSuccess;
  });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const std::shared_ptr<const Record> record = event->record;
  if (record == nullptr) return cudaSuccess;
  if (record->capture != nullptr) {
    return report(cudaErrorStreamCaptureUnsupported, "the event was recorded into a graph");
  }
  return run_until([record] { return record->done; });
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  const std::shared_ptr<const Record> record = event->record;
  if (record == nullptr) return cudaSuccess;
  run_a_little();
  if (device().sticky != cudaSuccess) return device().sticky;
  return record->done ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  if (start->record == nullptr || end->record == nullptr) {
    return report(cudaErrorInvalidResourceHandle, "an event was never recorded");
  }
  if (!start->record->done || !end->record->done) return cudaErrorNotReady;
  *milliseconds =
      std::chrono::duration<float, std::milli>(end->record->time - start->record->time).count();
  return cudaSuccess;
}
