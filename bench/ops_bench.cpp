// SPDX-License-Identifier: MIT
// The ops that are bound by memory, at net A's shapes (CIFAR, batch 64; a feature buffer's pitch is
// its final width). Argument sets: 1 set of operands stays in cache, 0 cycles through so many that
// their sum is larger than it. Bytes are those the formula needs, each pass over an operand
// counted, write-allocation not.
#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "bench/cpu_bench.h"
#include "tests/kernels/calls/batchnorm.h"
#include "tests/kernels/calls/classification.h"
#include "tests/kernels/calls/exits.h"
#include "tests/kernels/calls/images.h"
#include "tests/kernels/calls/movement.h"
#include "tests/kernels/calls/optimizer.h"

namespace msd::bench {
namespace {

template <template <typename> class Call>
void batchnorm(benchmark::State& state, std::int64_t passes, const calls::Shape& s,
               std::int64_t pitch) {
  // A slice of a wider buffer starts 6 channels in, as the second branch of net A's first layer.
  const calls::Gap x = calls::dense(s.c);
  const calls::Gap y = calls::slice(s.c, pitch, pitch > row_pitch(s.c, DType::f32) ? 6 : 0);
  const std::int64_t bytes = s.elems() * 4 * passes;
  const std::int64_t sets =
      state.range(0) == 1 ? 1 : std::max<std::int64_t>(2, kColdBytes / bytes + 1);
  run_in_turn(state, sets, [&] {
    return Call<HostMemory>(s, calls::Gaps{x, y, y, x}, HostMemory());
  });
  state.SetBytesProcessed(state.iterations() * bytes);
}

/// Of one set of operands.
template <typename Call>
void run_one(benchmark::State& state, Call& call, std::int64_t bytes) {
  Cpu cpu;
  for (auto _ : state) calls::run(cpu.context, call);
  state.SetBytesProcessed(state.iterations() * bytes);
}

void sgd(benchmark::State& state) {
  constexpr std::int64_t kCount = 4'839'544;  // net A's parameters
  const std::vector<std::uint8_t> mask(kCount, 1);
  calls::Sgd<HostMemory> call(kCount, {.lr = 1e-6, .weight_decay = 1e-4});
  if (state.range(0) == 1) call.mask = mask.data();
  run_one(state, call, kCount * (5 * 4 + (call.mask == nullptr ? 0 : 1)));
}

void softmax_confidence(benchmark::State& state) {
  const std::int64_t n = state.range(0), classes = state.range(1);
  const calls::Gap gap = calls::dense(classes);
  calls::SoftmaxConfidence<HostMemory> call({n, classes}, calls::Gaps{gap, gap}, {});
  run_one(state, call, n * classes * 8);
}

void count_exits(benchmark::State& state) {
  const std::int64_t n = 64, exits = 5, classes = state.range(0);
  calls::CountExits<HostMemory> call({n, classes, exits}, calls::dense(classes));
  run_one(state, call, exits * n * classes * 4);
}

void select_survivors(benchmark::State& state) {
  calls::SelectSurvivors<HostMemory> call(state.range(0));
  run_one(state, call, state.range(0) * 4);
}

void image_to_float(benchmark::State& state) {
  const std::int64_t size = state.range(0), n = 64;
  std::vector<CropFlip> crops;
  std::mt19937 engine(3);
  for (int i = 0; i < n; ++i) {
    crops.push_back({static_cast<std::int32_t>(engine() % 9) - 4,
                     static_cast<std::int32_t>(engine() % 9) - 4, engine() % 2 == 0});
  }
  calls::ImageToFloat<HostMemory> call({256, size, size, {n, size, size, 3}}, {0, 1});
  call.crops = crops.data();
  run_one(state, call, n * size * size * 3 * 5);
}

/// What a layer's outputs would cost if they were joined by copying (they aren't).
void concat(benchmark::State& state) {
  calls::Concat<HostMemory> call({64, 32, 32, 0}, {16, 6, 6, 6}, {}, calls::dense(34));
  for (HostMemory::Rows& input : call.inputs) {
    input = HostMemory::rows(input.shape, calls::dense(input.shape.c), {1});
  }
  run_one(state, call, call.y.shape.elems() * 8);
}

// n, size, channels, pitch of the features (the convolution's output is dense).
struct NormShape {
  std::int64_t n, size, c, pitch;
};
const NormShape kShapes[] = {{64, 32, 6, 8},    {64, 32, 16, 40}, {64, 32, 6, 40}, {64, 16, 12, 12},
                             {64, 16, 6, 88},   {64, 8, 24, 24},  {64, 8, 48, 48}, {64, 8, 12, 200},
                             {64, 8, 160, 160}, {64, 4, 128, 128}};

[[maybe_unused]] const bool kRegistered = [] {
  for (const NormShape& shape : kShapes) {
    const std::string name = message("/", shape.n, "x", shape.size, "x", shape.size, "x", shape.c,
                                     "_pitch", shape.pitch);
    const calls::Shape map = {shape.n, shape.size, shape.size, shape.c};
    const auto add = [&](const char* op, auto body, std::int64_t passes) {
      benchmark::RegisterBenchmark((op + name).c_str(), body, passes, map, shape.pitch)
          ->ArgName("sets")
          ->Arg(1)
          ->Arg(0)
          ->UseRealTime();
    };
    add("batchnorm_forward", &batchnorm<calls::BatchnormForward>, 3);
    add("batchnorm_backward", &batchnorm<calls::BatchnormBackward>, 5);
  }
  return true;
}();

BENCHMARK(sgd)->ArgName("mask")->Arg(0)->Arg(1)->UseRealTime();
BENCHMARK(softmax_confidence)
    ->ArgNames({"n", "classes"})
    ->ArgsProduct({{1, 64}, {10, 100, 1000}})
    ->UseRealTime();
BENCHMARK(count_exits)->ArgName("classes")->Arg(10)->Arg(1000)->UseRealTime();
BENCHMARK(select_survivors)->ArgName("count")->Arg(256)->Arg(10000)->UseRealTime();
BENCHMARK(image_to_float)->ArgName("size")->Arg(32)->Arg(224)->UseRealTime();
BENCHMARK(concat)->UseRealTime();

}  // namespace
}  // namespace msd::bench
