// SPDX-License-Identifier: MIT
#include "engine/runtime.h"

#include <algorithm>
#include <charconv>
#include <thread>

#include "engine/algorithms.h"
#include "engine/device_allocator.h"
#include "kernels/check.h"
#include "kernels/cuda/device/context.h"
#include "kernels/cuda/device/device.h"

namespace msd {
namespace {

int resolve_threads(int threads) {
  if (threads != 0) return threads;
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

void require_device(DeviceSpec device) {
  if (device.type == DeviceType::cpu) return;
  if (!cuda::compiled_in()) {
    throw ConfigError(
        "--device cuda: this build has no CUDA backend; build with -DMSD_CUDA=ON or "
        "use --device cpu");
  }
  require_all_ops(device.type);
  const auto found = cuda::devices();
  if (device.index >= static_cast<int>(found.size())) {
    throw ConfigError(message("--device cuda:", device.index, ": the driver shows ", found.size(),
                              " GPUs; use --device cpu"));
  }
}

}  // namespace

DeviceSpec parse_device(std::string_view text) {
  if (text == "cpu") return {};
  if (text == "cuda") return {DeviceType::cuda, 0};
  constexpr std::string_view kPrefix = "cuda:";
  int index = -1;
  if (text.starts_with(kPrefix)) {
    const std::string_view digits = text.substr(kPrefix.size());
    const auto [end, error] = std::from_chars(digits.begin(), digits.end(), index);
    if (error != std::errc() || end != digits.end()) index = -1;
  }
  if (index < 0) throw ConfigError(message("--device ", text, ": use cpu, cuda or cuda:INDEX"));
  return {DeviceType::cuda, index};
}

Runtime::Runtime(int threads, DeviceSpec device)
    : device_(device), pool_(resolve_threads(threads)) {
  require_device(device);
  context_.device = device.type;
  context_.pool = &pool_;
  context_.cpu_ops = &cpu::op_table(cpu::default_isa());
  if (device.type == DeviceType::cpu) {
    own_allocator_ = std::make_unique<SystemAllocator>();
  } else {
    stream_ = std::make_unique<cuda::Stream>(device.index);
    context_.cuda = &stream_->context();
    own_allocator_ = std::make_unique<DeviceAllocator>(*stream_);
  }
  allocator_ = own_allocator_.get();
}

std::string Runtime::description() const {
  const std::string threads = message(pool_.size(), pool_.size() == 1 ? " thread" : " threads");
  if (device_.type == DeviceType::cpu) return threads;
  const std::string name = cuda::devices().at(static_cast<std::size_t>(device_.index)).name;
  return message("cuda:", device_.index, " (", name, "), ", threads);
}

Runtime::~Runtime() = default;

void Runtime::set_algorithms(std::string_view policy_text,
                             const std::function<void(const std::string&)>& warn) {
  const cuda::AlgorithmPolicy policy = cuda::parse_algorithm_policy(policy_text);
  if (stream_ == nullptr) {
    throw ConfigError(message("--algorithms ", policy_text, " needs --device cuda"));
  }
  stream_->context().algorithms = nullptr;
  algorithms_.reset();
  if (!policy.needs_plugin()) return;  // the handwritten kernels throughout
  const auto devices = cuda::devices();
  algorithms_ = std::make_unique<Algorithms>(
      policy, *stream_, devices.at(static_cast<std::size_t>(device_.index)).name, warn);
  stream_->context().algorithms = &algorithms_->chooser();
}

void Runtime::set_allow_tf32(bool allow) {
  if (stream_ != nullptr) stream_->context().allow_tf32 = allow;
}

void Runtime::synchronize() {
  if (stream_ != nullptr) stream_->synchronize();
}

}  // namespace msd
