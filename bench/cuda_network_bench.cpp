// SPDX-License-Identifier: MIT
// Whole networks on a GPU, in fp32, tf32 and bf16, images and labels resident:
//   cuda/train_step/<preset>/<batch>/<precision>: a TrainingStep, replayed as a graph
//   cuda/evaluate/<preset>/<batch>/<precision>: a PlanSession, all exits, a graph a stage
//   cuda/exit1/<preset>/1/<precision>: the first stage alone
// Five iterations, each many launches and one wait by the wall clock; the time is a launch's.
// floor_ms: the least this GPU can take (models/network/floor.h, with the copy and matrix rates of
// this run; the label says which product gave the latter); x_floor: measured by floor. Never ran on
// a GPU yet.
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bench/cuda_bench.h"
#include "bench/floats.h"
#include "engine/optimizer.h"
#include "kernels/check.h"
#include "models/inference/plan.h"
#include "models/network/floor.h"
#include "models/training/training_step.h"

namespace msd::bench {
namespace {

constexpr double kLeastSeconds = 0.05;  // of launches between two waits

template <typename Launch>
double seconds_of(Runtime& runtime, std::int64_t launches, Launch launch) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  for (std::int64_t i = 0; i < launches; ++i) launch();
  runtime.synchronize();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

template <typename Launch>
void measure_launches(benchmark::State& state, Runtime& runtime, std::int64_t batch,
                      const Work& work, Precision precision, Launch launch) {
  const MatrixRate products = matrix_rate(precision);
  seconds_of(runtime, 3, launch);  // captures the graph
  std::int64_t launches = 5;
  while (seconds_of(runtime, launches, launch) < kLeastSeconds) launches *= 2;
  for (auto _ : state) {
    state.SetIterationTime(seconds_of(runtime, launches, launch) / static_cast<double>(launches));
  }
  const double floor = floor_seconds(work, {copy_rate(), products.flops_per_second});
  using Counter = benchmark::Counter;
  state.counters["images/s"] =
      Counter(static_cast<double>(batch), Counter::kIsIterationInvariantRate);
  state.counters["floor_ms"] = 1e3 * floor;
  state.counters["x_floor"] = Counter(
      floor, static_cast<Counter::Flags>(Counter::kIsIterationInvariantRate | Counter::kInvert));
  state.SetLabel(message("products: ", products.source));
}

ConstView random_images(Floats& floats, const MsdnetConfig& config, std::int64_t batch) {
  return {floats.data(),           DType::f32, batch, config.image_size, config.image_size, 3,
          row_pitch(3, DType::f32)};
}
std::int64_t image_elems(const MsdnetConfig& config, std::int64_t batch) {
  return batch * config.image_size * config.image_size * row_pitch(3, DType::f32);
}

void train_step(benchmark::State& state, const MsdnetConfig& config, std::int64_t batch,
                Precision precision) {
  Runtime runtime(1, {DeviceType::cuda, 0});
  runtime.set_allow_tf32(precision == Precision::tf32);
  Network network(config, runtime.allocator());
  network.initialize(1);
  const DType dtype = activations(precision);
  Sgd sgd(runtime, network.parameters(), {});
  DeviceExitCounter counter(runtime, config.blocks, config.classes, batch, dtype);
  const std::vector<double> weights(static_cast<std::size_t>(config.blocks), 1.0);
  TrainingStep step(runtime, network, batch, weights, dtype, sgd, counter);
  Floats images(image_elems(config, batch));
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < batch; ++i) {
    labels.push_back(static_cast<std::int32_t>(i % config.classes));
  }
  step.graph().set_batch(random_images(images, config, batch), labels.data());
  sgd.set_lr(1e-3);
  measure_launches(state, runtime, batch, training_step_work(network.architecture(), batch, dtype),
                   precision, [&] { step.run(); });
}

/// The first `stages`, or all where 0. Every launch works on the same images, or what the network
/// left of them: their memory serves later layers.
void evaluate(benchmark::State& state, const MsdnetConfig& config, std::int64_t batch,
              std::int64_t stages, Precision precision) {
  Runtime runtime(1, {DeviceType::cuda, 0});
  runtime.set_allow_tf32(precision == Precision::tf32);
  Network network(config, runtime.allocator());
  network.initialize(1);
  const DType dtype = activations(precision);
  const Plan plan(runtime, network, dtype);
  PlanSession session(runtime, plan, batch);
  Floats images(image_elems(config, batch));
  session.set_input(random_images(images, config, batch));
  const std::int64_t count = stages == 0 ? plan.stages() : stages;
  const std::vector<Work> each = stage_work(plan.architecture(), batch, dtype);
  Work work;
  for (std::int64_t stage = 0; stage < count; ++stage) {
    work += each[static_cast<std::size_t>(stage)];
  }
  measure_launches(state, runtime, batch, work, precision, [&] {
    for (std::int64_t stage = 0; stage < count; ++stage) session.run_stage(stage);
  });
}

void add_network(std::string_view op, std::string_view net, std::int64_t batch) {
  const MsdnetConfig& config = preset(net);
  for (const Precision precision : kPrecisions) {
    add_to_gpu(message(op, "/", net, "/", batch, "/", name(precision)),
               [=, &config](benchmark::State& state) {
                 if (op == "train_step") {
                   train_step(state, config, batch, precision);
                 } else {
                   evaluate(state, config, batch, op == "exit1" ? 1 : 0, precision);
                 }
               })
        ->Unit(benchmark::kMillisecond)
        ->Iterations(5);  // more only repeats the set-up
  }
}

[[maybe_unused]] const bool kRegistered = [] {
  add_network("train_step", "cifar10-anytime10", 64);
  add_network("train_step", "cifar10-anytime10", 512);
  add_network("train_step", "cifar100-batch5", 64);
  add_network("train_step", "imagenet-k4", 64);
  add_network("train_step", "imagenet-k4", 256);
  for (const char* net : {"cifar10-anytime10", "imagenet-k4"}) {
    add_network("evaluate", net, 1);
    add_network("evaluate", net, 64);
    add_network("exit1", net, 1);
  }
  return true;
}();

}  // namespace
}  // namespace msd::bench
