// SPDX-License-Identifier: MIT
// Device properties, errors and settings of the emulated runtime.
#include <algorithm>
#include <cstring>

#include "tests/emulation/device_space.h"
#include "tests/emulation/device_state.h"
#include "tests/emulation/shared_memory.h"

namespace msd::emulation {

std::size_t RandomChoice::below(std::size_t bound) {
  std::uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return static_cast<std::size_t>((z ^ (z >> 31)) % bound);
}

DeviceState& device() {
  static DeviceState state;
  return state;
}

const Settings& settings() { return device().settings; }

void configure(const Settings& settings) {
  device().settings = settings;
  device().random.seed(settings.seed);
}

std::int64_t threads_run() { return device().threads_run; }

unsigned char poison_byte() { return device().settings.poison; }

void reset() {
  DeviceState& state = device();
  for (CUstream_st* stream : state.streams) *stream = {};
  state.sticky = state.last = state.explained = cudaSuccess;
  state.explanation.clear();
}

cudaError_t report(cudaError_t error, std::string explanation) {
  if (error == cudaSuccess) return error;
  DeviceState& state = device();
  state.last = error;
  if (!explanation.empty()) {
    state.explained = error;
    state.explanation = std::move(explanation);
  }
  return error;
}

cudaError_t report_sticky(cudaError_t error, std::string explanation) {
  device().sticky = error;
  return report(error, std::move(explanation));
}

}  // namespace msd::emulation

using msd::emulation::device;
using msd::emulation::report;

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
#define MSD_ERROR_NAME(name) \
  case name:                 \
    return #name;
    MSD_ERROR_NAME(cudaSuccess)
    MSD_ERROR_NAME(cudaErrorInvalidValue)
    MSD_ERROR_NAME(cudaErrorMemoryAllocation)
    MSD_ERROR_NAME(cudaErrorInvalidConfiguration)
    MSD_ERROR_NAME(cudaErrorInvalidDeviceFunction)
    MSD_ERROR_NAME(cudaErrorNoDevice)
    MSD_ERROR_NAME(cudaErrorInvalidDevice)
    MSD_ERROR_NAME(cudaErrorInvalidResourceHandle)
    MSD_ERROR_NAME(cudaErrorNotReady)
    MSD_ERROR_NAME(cudaErrorLaunchFailure)
    MSD_ERROR_NAME(cudaErrorNotSupported)
    MSD_ERROR_NAME(cudaErrorStreamCaptureUnsupported)
    MSD_ERROR_NAME(cudaErrorStreamCaptureInvalidated)
    MSD_ERROR_NAME(cudaErrorStreamCaptureUnjoined)
#undef MSD_ERROR_NAME
  }
  return "unrecognized error code";
}

const char* cudaGetErrorString(cudaError_t error) {
  if (error != cudaSuccess && error == device().explained) return device().explanation.c_str();
  return error == cudaSuccess ? "no error" : "no explanation";
}

cudaError_t cudaPeekAtLastError() {
  return device().sticky != cudaSuccess ? device().sticky : device().last;
}
cudaError_t cudaGetLastError() {
  const cudaError_t error = cudaPeekAtLastError();
  device().last = cudaSuccess;
  return error;
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* index) {
  *index = 0;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int index) {
  return index == 0 ? cudaSuccess : report(cudaErrorInvalidDevice);
}

// Few multiprocessors, so that launches which depend on their number take several turns.
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int index) {
  if (index != 0) return report(cudaErrorInvalidDevice);
  *properties = {};
  std::strcpy(properties->name, "emulated device");
  properties->totalGlobalMem = msd::emulation::kSpaceBytes;
  properties->sharedMemPerBlock = msd::emulation::kStaticSharedLimit;
  properties->sharedMemPerBlockOptin = msd::emulation::kSharedLimit;
  properties->major = 9;
  properties->minor = 0;
  properties->multiProcessorCount = 4;
  properties->maxThreadsPerBlock = 1024;
  properties->warpSize = 32;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int index) {
  cudaDeviceProp properties;
  if (const cudaError_t error = cudaGetDeviceProperties(&properties, index); error != cudaSuccess) {
    return error;
  }
  switch (attribute) {
    case cudaDevAttrMaxSharedMemoryPerBlock:
      *value = static_cast<int>(properties.sharedMemPerBlock);
      return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(properties.sharedMemPerBlockOptin);
      return cudaSuccess;
    case cudaDevAttrMultiProcessorCount:
      *value = properties.multiProcessorCount;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor:
      *value = properties.major;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
      *value = properties.minor;
      return cudaSuccess;
  }
  return report(cudaErrorInvalidValue);
}
