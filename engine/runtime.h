// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "engine/allocator.h"
#include "kernels/cpu/device/op_table.h"
#include "kernels/cuda/device/stream.h"
#include "kernels/ops.h"

namespace msd {

class Algorithms;

struct DeviceSpec {
  DeviceType type = DeviceType::cpu;
  int index = 0;
};

/// "cpu", "cuda" or "cuda:1"; throws ConfigError for anything else.
DeviceSpec parse_device(std::string_view text);

/// Owns what ops run on: device, threads, memory. Made once in main and outlived by nothing.
/// Not thread-safe; several runtimes may live side by side, one a thread.
class Runtime {
 public:
  /// threads >= 1 CPU threads, or 0 for as many as the machine has. Throws ConfigError where the
  /// device is absent or this build lacks ops for it, naming them.
  explicit Runtime(int threads = 1, DeviceSpec device = {});
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;
  ~Runtime();

  DeviceSpec device() const { return device_; }
  ExecutionContext& context() { return context_; }
  /// For tensors that ops work on: the host's memory or the GPU's.
  Allocator& allocator() { return *allocator_; }
  /// Another one, which must outlive the runtime's users. Tests look at memory this way.
  void set_allocator(Allocator& allocator) { allocator_ = &allocator; }
  int threads() const { return pool_.size(); }
  /// For people: "4 threads", "cuda:0 (NVIDIA H200), 4 threads".
  std::string description() const;

  /// On CUDA the stream that ops run on; null on the CPU.
  cuda::Stream* stream() { return stream_.get(); }
  /// Whether f32 products may round their factors to tf32; on CUDA only.
  void set_allow_tf32(bool allow);
  /// On CUDA, which algorithms ops run: see cuda::parse_algorithm_policy. Made for one thread's ops
  /// that follow; graphs captured before keep theirs. `warn` is told of what is not as asked, and
  /// may be called as long as the runtime lives. Throws ConfigError where the policy makes no sense
  /// or can't be had, and on the CPU.
  void set_algorithms(std::string_view policy,
                      const std::function<void(const std::string&)>& warn = {});
  /// Until all ops so far are done.
  void synchronize();

 private:
  DeviceSpec device_;
  cpu::ThreadPool pool_;
  std::unique_ptr<cuda::Stream> stream_;
  std::unique_ptr<Algorithms> algorithms_;
  std::unique_ptr<Allocator> own_allocator_;
  Allocator* allocator_ = nullptr;
  ExecutionContext context_;
};

}  // namespace msd
