// SPDX-License-Identifier: MIT
// The ops that are bound by memory, at net A's shapes (CIFAR, batch 64; a feature buffer's pitch is
// its final width). Argument sets: 1 set of operands stays in cache, 0 cycles through so many that
// their sum is larger than it. Bytes are those the formula needs, each pass over an operand
// counted, write-allocation not.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "bench/bench_options.h"
#include "bench/floats.h"
#include "kernels/cpu/device/op_table.h"
#include "kernels/error.h"

namespace {

using msd::ConstView;
using msd::DType;
using msd::Floats;
using msd::View;

struct Cpu {
  Cpu()
      : pool(msd::bench_threads()),
        context{msd::DeviceType::cpu, &pool, &msd::cpu::op_table(msd::cpu::default_isa())} {}
  msd::cpu::ThreadPool pool;
  msd::ExecutionContext context;
};

struct Shape {
  std::int64_t n, size, c, pitch;
  std::int64_t rows() const { return n * size * size; }
  View view(Floats& floats, std::int64_t row_pitch, std::int64_t first = 0) const {
    return {floats.data() + first, DType::f32, n, size, size, c, row_pitch};
  }
  /// Where the slice of a wider buffer starts: 6 channels in, as the second branch of net A's first
  /// layer.
  std::int64_t slice_start() const { return pitch > dense() ? 6 : 0; }
  std::int64_t dense() const { return msd::row_pitch(c, DType::f32); }
};

constexpr std::int64_t kColdBytes = 128 << 20;

std::int64_t sets_of(const benchmark::State& state, std::int64_t bytes) {
  return state.range(0) == 1 ? 1 : std::max<std::int64_t>(2, kColdBytes / bytes + 1);
}

struct NormSet {
  explicit NormSet(const Shape& shape)
      : x(shape.rows() * shape.dense()),
        dy(shape.rows() * shape.pitch),
        out(shape.rows() * shape.pitch),
        channels(shape.c * 8, 0.5f, 1.5f) {}
  float* channel(const Shape& shape, std::int64_t which) {
    return channels.data() + which * shape.c;
  }
  Floats x, dy, out, channels;
};

void batchnorm_forward(benchmark::State& state, Shape shape) {
  Cpu cpu;
  const std::int64_t bytes = shape.rows() * shape.c * 4 * 3;
  std::vector<std::unique_ptr<NormSet>> sets;
  for (std::int64_t i = sets_of(state, bytes); i > 0; --i) {
    sets.push_back(std::make_unique<NormSet>(shape));
  }
  std::size_t next = 0;
  for (auto _ : state) {
    NormSet& set = *sets[next++ % sets.size()];
    const msd::BatchNormForwardArgs args{.x = shape.view(set.x, shape.dense()),
                                         .y = shape.view(set.out, shape.pitch, shape.slice_start()),
                                         .gamma = set.channel(shape, 0),
                                         .beta = set.channel(shape, 1),
                                         .running_mean = set.channel(shape, 2),
                                         .running_var = set.channel(shape, 3),
                                         .saved_mean = set.channel(shape, 4),
                                         .saved_invstd = set.channel(shape, 5)};
    msd::batchnorm_forward(cpu.context, {&args, 1});
  }
  state.SetBytesProcessed(state.iterations() * bytes);
}

void batchnorm_backward(benchmark::State& state, Shape shape) {
  Cpu cpu;
  const std::int64_t bytes = shape.rows() * shape.c * 4 * 5;
  std::vector<std::unique_ptr<NormSet>> sets;
  for (std::int64_t i = sets_of(state, bytes); i > 0; --i) {
    sets.push_back(std::make_unique<NormSet>(shape));
  }
  std::size_t next = 0;
  for (auto _ : state) {
    NormSet& set = *sets[next++ % sets.size()];
    const msd::BatchNormBackwardArgs args{
        .x = shape.view(set.x, shape.dense()),
        .dy = shape.view(set.dy, shape.pitch, shape.slice_start()),
        .dx = shape.view(set.out, shape.dense()),
        .gamma = set.channel(shape, 0),
        .beta = set.channel(shape, 1),
        .saved_mean = set.channel(shape, 4),
        .saved_invstd = set.channel(shape, 5),
        .dgamma = set.channel(shape, 6),
        .dbeta = set.channel(shape, 7)};
    msd::batchnorm_backward(cpu.context, {&args, 1});
  }
  state.SetBytesProcessed(state.iterations() * bytes);
}

void sgd(benchmark::State& state) {
  Cpu cpu;
  constexpr std::int64_t kCount = 4'839'544;  // net A's parameters
  Floats weight(kCount), gradient(kCount), velocity(kCount);
  const std::vector<std::uint8_t> mask(kCount, 1);
  const double lr = 1e-6;
  const msd::SgdArgs args{.weight = weight.data(),
                          .gradient = gradient.data(),
                          .velocity = velocity.data(),
                          .mask = state.range(0) == 0 ? nullptr : mask.data(),
                          .count = kCount,
                          .lr = &lr,
                          .weight_decay = 1e-4};
  for (auto _ : state) msd::sgd(cpu.context, {&args, 1});
  state.SetBytesProcessed(state.iterations() * kCount * (5 * 4 + (args.mask == nullptr ? 0 : 1)));
}

void softmax_confidence(benchmark::State& state) {
  Cpu cpu;
  const std::int64_t n = state.range(0), classes = state.range(1);
  const std::int64_t pitch = msd::row_pitch(classes, DType::f32);
  Floats logits(n * pitch, -8.0f, 8.0f), probabilities(n * pitch), largest(n), second(n),
      entropy(n);
  std::vector<std::int32_t> argmax(static_cast<std::size_t>(n)),
      top5(static_cast<std::size_t>(5 * n));
  const msd::SoftmaxConfidenceArgs args{
      .logits = {logits.data(), DType::f32, n, 1, 1, classes, pitch},
      .probabilities = {probabilities.data(), DType::f32, n, 1, 1, classes, pitch},
      .max = largest.data(),
      .second = second.data(),
      .entropy = entropy.data(),
      .argmax = argmax.data(),
      .top5 = top5.data()};
  for (auto _ : state) msd::softmax_confidence(cpu.context, {&args, 1});
  state.SetBytesProcessed(state.iterations() * n * classes * 8);
}

void count_exits(benchmark::State& state) {
  Cpu cpu;
  const std::int64_t n = 64, exits = 5, classes = state.range(0);
  const std::int64_t pitch = msd::row_pitch(classes, DType::f32);
  Floats logits(exits * n * pitch, -8.0f, 8.0f), sums(n * classes);
  std::vector<ConstView> views;
  for (std::int64_t k = 0; k < exits; ++k) {
    views.push_back({logits.data() + k * n * pitch, DType::f32, n, 1, 1, classes, pitch});
  }
  const std::vector<std::int32_t> labels(static_cast<std::size_t>(n));
  std::vector<double> loss(static_cast<std::size_t>(exits));
  std::vector<std::int64_t> correct(static_cast<std::size_t>(4 * exits));
  const msd::CountExitsArgs args{.logits = views,
                                 .labels = labels.data(),
                                 .probability_sums = sums.data(),
                                 .loss_sum = loss.data(),
                                 .correct = correct.data()};
  for (auto _ : state) msd::count_exits(cpu.context, {&args, 1});
  state.SetBytesProcessed(state.iterations() * exits * n * classes * 4);
}

void select_survivors(benchmark::State& state) {
  Cpu cpu;
  const std::int64_t count = state.range(0);
  Floats confidence(count, 0.0f, 1.0f);
  std::vector<std::int32_t> survivors(static_cast<std::size_t>(count)), survivor_count(1);
  const msd::SelectSurvivorsArgs args{.confidence = confidence.data(),
                                      .count = count,
                                      .threshold = 0.5,
                                      .survivors = survivors.data(),
                                      .survivor_count = survivor_count.data()};
  for (auto _ : state) msd::select_survivors(cpu.context, {&args, 1});
  state.SetBytesProcessed(state.iterations() * count * 4);
}

void image_to_float(benchmark::State& state) {
  Cpu cpu;
  const std::int64_t size = state.range(0), n = 64, count = 256;
  std::vector<std::uint8_t> images(static_cast<std::size_t>(count * size * size * 3));
  std::mt19937 engine(3);
  for (std::uint8_t& byte : images) byte = static_cast<std::uint8_t>(engine());
  std::vector<std::int64_t> index;
  std::vector<msd::CropFlip> crops;
  for (int i = 0; i < n; ++i) {
    index.push_back(static_cast<std::int64_t>(engine() % count));
    crops.push_back({static_cast<std::int32_t>(engine() % 9) - 4,
                     static_cast<std::int32_t>(engine() % 9) - 4, engine() % 2 == 0});
  }
  Floats out(n * size * size * 4), mean(3, 100, 140), std(3, 50, 70);
  const msd::ImageToFloatArgs args{.images = images.data(),
                                   .count = count,
                                   .h = size,
                                   .w = size,
                                   .index = index.data(),
                                   .crops = crops.data(),
                                   .mean = mean.data(),
                                   .std = std.data(),
                                   .y = {out.data(), DType::f32, n, size, size, 3, 4}};
  for (auto _ : state) msd::image_to_float(cpu.context, {&args, 1});
  state.SetBytesProcessed(state.iterations() * n * size * size * 3 * 5);
}

/// What a layer's outputs would cost if they were joined by copying (they aren't).
void concat(benchmark::State& state) {
  Cpu cpu;
  const std::int64_t n = 64, size = 32, widths[] = {16, 6, 6, 6};
  std::vector<Floats> parts;
  std::vector<ConstView> inputs;
  std::int64_t channels = 0;
  parts.reserve(std::size(widths));
  for (const std::int64_t c : widths) {
    const Shape shape{n, size, c, 0};
    parts.emplace_back(shape.rows() * shape.dense());
    inputs.push_back(shape.view(parts.back(), shape.dense()));
    channels += c;
  }
  const Shape joined{n, size, channels, 0};
  Floats out(joined.rows() * joined.dense());
  const msd::ConcatArgs args{.inputs = inputs, .y = joined.view(out, joined.dense())};
  for (auto _ : state) msd::concat(cpu.context, {&args, 1});
  state.SetBytesProcessed(state.iterations() * joined.rows() * channels * 8);
}

// n, size, channels, pitch of the features (the convolution's output is dense).
const Shape kShapes[] = {{64, 32, 6, 8},    {64, 32, 16, 40}, {64, 32, 6, 40}, {64, 16, 12, 12},
                         {64, 16, 6, 88},   {64, 8, 24, 24},  {64, 8, 48, 48}, {64, 8, 12, 200},
                         {64, 8, 160, 160}, {64, 4, 128, 128}};

[[maybe_unused]] const bool kRegistered = [] {
  for (const Shape& shape : kShapes) {
    const std::string name = msd::message("/", shape.n, "x", shape.size, "x", shape.size, "x",
                                          shape.c, "_pitch", shape.pitch);
    for (const auto& [op, body] : {std::pair{"batchnorm_forward", &batchnorm_forward},
                                   std::pair{"batchnorm_backward", &batchnorm_backward}}) {
      benchmark::RegisterBenchmark((op + name).c_str(), body, shape)
          ->ArgName("sets")
          ->Arg(1)
          ->Arg(0)
          ->UseRealTime();
    }
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
