// SPDX-License-Identifier: MIT
// train_step/<preset>/<batch>: forward, backward and optimiser step on random images.
// evaluate/<preset>/<batch>: every exit, in portions as the Evaluator takes them;
// evaluate_exit1/<preset>/<batch>: the first exit alone.
#include <benchmark/benchmark.h>

#include <string>

#include "bench/bench_options.h"
#include "engine/optimizer.h"
#include "engine/random.h"
#include "models/inference/plan.h"
#include "models/network/cost.h"
#include "models/training/training_graph.h"

namespace msd {
namespace {

void fill_random(const View& view, std::uint64_t seed) {
  RandomStream random(seed, RandomPurpose::test);
  for (std::int64_t r = 0; r < view.rows(); ++r) {
    for (std::int64_t c = 0; c < view.c; ++c) {
      view.as<float>()[r * view.pitch + c] = static_cast<float>(random.normal());
    }
  }
}

void report(benchmark::State& state, std::int64_t batch, double mul_adds) {
  state.SetItemsProcessed(state.iterations() * batch);
  state.counters["mul_adds"] = benchmark::Counter(mul_adds * static_cast<double>(batch),
                                                  benchmark::Counter::kIsIterationInvariantRate);
}

void train_step(benchmark::State& state, const MsdnetConfig& config, std::int64_t batch) {
  Runtime runtime(bench_threads());
  Network network(config, runtime.allocator());
  network.initialize(1);
  const std::vector<double> weights(static_cast<std::size_t>(config.blocks), 1.0);
  TrainingGraph graph(runtime, network, batch, weights);
  Sgd sgd(runtime, network.parameters(), {});
  sgd.set_lr(1e-3);
  RandomStream random(2, RandomPurpose::test);
  for (std::int64_t i = 0; i < batch; ++i) {
    graph.labels()[i] = static_cast<std::int32_t>(random.below(config.classes));
  }
  fill_random(graph.input(), 1);
  for (auto _ : state) {
    graph.run();
    sgd.step();
  }
  const ExitCost cost = exit_costs(network.architecture()).back();
  report(state, batch, 3.0 * static_cast<double>(cost.mul_adds));
}

void evaluate(benchmark::State& state, const MsdnetConfig& config, std::int64_t batch,
              std::int64_t stages) {
  Runtime runtime(bench_threads());
  Network network(config, runtime.allocator());
  network.initialize(1);
  const Plan plan(runtime, network);
  const std::int64_t portion = std::min(batch, preferred_batch(runtime));
  PlanSession session(runtime, plan, portion);
  const Tensor images = Tensor::activation(runtime.allocator(), batch, config.image_size,
                                           config.image_size, 3, DType::f32);
  fill_random(images.view(), 1);
  const std::int64_t count = stages == 0 ? plan.stages() : stages;
  for (auto _ : state) {
    for (std::int64_t first = 0; first < batch; first += portion) {
      const CopyArgs to_input = {images.slice(0, first, portion).view(), session.input()};
      msd::copy(runtime.context(), {&to_input, 1});
      for (std::int64_t stage = 0; stage < count; ++stage) {
        benchmark::DoNotOptimize(session.run_stage(stage).data);
      }
    }
  }
  report(state, batch, static_cast<double>(plan.mul_adds(count - 1)));
}

const bool kRegistered = [] {
  for (const Preset& preset : presets()) {
    const bool imagenet = preset.config.input_kind == InputKind::imagenet;
    const std::string name(preset.name);
    const MsdnetConfig& config = preset.config;
    for (const std::int64_t batch : {std::int64_t{1}, std::int64_t{imagenet ? 8 : 64}}) {
      const std::string end = name + "/" + std::to_string(batch);
      benchmark::RegisterBenchmark(
          ("evaluate/" + end).c_str(),
          [&config, batch](benchmark::State& state) { evaluate(state, config, batch, 0); })
          ->Unit(benchmark::kMillisecond)
          ->UseRealTime();
      benchmark::RegisterBenchmark(
          ("evaluate_exit1/" + end).c_str(),
          [&config, batch](benchmark::State& state) { evaluate(state, config, batch, 1); })
          ->Unit(benchmark::kMillisecond)
          ->UseRealTime();
      if (batch == 1) continue;
      benchmark::RegisterBenchmark(
          ("train_step/" + end).c_str(),
          [&config, batch](benchmark::State& state) { train_step(state, config, batch); })
          ->Unit(benchmark::kMillisecond)
          ->UseRealTime();
    }
  }
  return true;
}();

}  // namespace
}  // namespace msd
