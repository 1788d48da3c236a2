// SPDX-License-Identifier: MIT
// Convolutions at the shapes of net A (CIFAR) and of the ImageNet stem and branches, each op alone:
//   conv_forward/<cin>x<cout>k<k>s<s>/<h>x<w>/n<batch>/sets:<1|0>, and backward_data,
//   backward_weight
// A 1x1 reads a prefix of a wider feature buffer and its gradient is added there, as in a network.
// sets:1 works on one set of operands (those of batch 1 stay in cache), sets:0 cycles through so
// many that each comes from memory. GFMA/s counts multiply-adds, padding taps included.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "bench/bench_options.h"
#include "bench/floats.h"
#include "kernels/cpu/device/op_table.h"

namespace {

using msd::ConvGeometry;
using msd::ConvPass;
using msd::DType;
using msd::Floats;
using msd::View;

constexpr std::int64_t kColdBytes = 128 << 20;

struct Shape {
  std::int64_t n, size;
  ConvGeometry g;
  std::int64_t out() const { return g.out_size(size); }
  std::int64_t x_pitch() const {
    return msd::row_pitch(g.kernel == 1 ? g.cin + 24 : g.cin, DType::f32);
  }
  std::int64_t y_pitch() const { return msd::row_pitch(g.cout, DType::f32); }
  std::int64_t x_elems() const { return n * size * size * x_pitch(); }
  std::int64_t y_elems() const { return n * out() * out() * y_pitch(); }
  double mul_adds() const { return static_cast<double>(n * out() * out() * g.weight_elems()); }
};

struct Operands {
  explicit Operands(const Shape& s)
      : x(s.x_elems()),
        y(s.y_elems()),
        weight(s.g.weight_elems()),
        forward(msd::conv_packed_elems(s.g, ConvPass::forward)),
        backward(msd::conv_packed_elems(s.g, ConvPass::backward_data)),
        workspace_bytes(
            msd::conv_backward_weight_workspace_bytes(s.g, s.n, s.size, s.size, DType::f32)),
        workspace(workspace_bytes / 4) {}
  View x_view(const Shape& s) {
    return {x.data(), DType::f32, s.n, s.size, s.size, s.g.cin, s.x_pitch()};
  }
  View y_view(const Shape& s) {
    return {y.data(), DType::f32, s.n, s.out(), s.out(), s.g.cout, s.y_pitch()};
  }
  Floats x, y, weight, forward, backward;
  std::int64_t workspace_bytes;
  Floats workspace;
};

enum class Op { forward, backward_data, backward_weight };

void run(benchmark::State& state, Op op, const Shape& s) {
  msd::cpu::ThreadPool pool(msd::bench_threads());
  msd::ExecutionContext context{msd::DeviceType::cpu, &pool,
                                &msd::cpu::op_table(msd::cpu::default_isa())};
  const std::int64_t bytes = 4 * (s.x_elems() + s.y_elems());
  const std::int64_t sets = state.range(0) == 1 ? 1 : std::max<std::int64_t>(2, kColdBytes / bytes);
  std::vector<Operands> all;
  for (std::int64_t i = 0; i < sets; ++i) {
    Operands& o = all.emplace_back(s);
    const msd::ConvPackArgs packs[] = {
        {o.weight.data(), o.forward.data(), s.g, ConvPass::forward, DType::f32},
        {o.weight.data(), o.backward.data(), s.g, ConvPass::backward_data, DType::f32}};
    conv_pack(context, packs);
  }
  std::size_t next = 0;
  for (auto _ : state) {
    Operands& o = all[next];
    next = next + 1 == all.size() ? 0 : next + 1;
    if (op == Op::forward) {
      const msd::ConvForwardArgs args{o.x_view(s), o.forward.data(), nullptr, o.y_view(s), s.g,
                                      true};
      conv_forward(context, {&args, 1});
    } else if (op == Op::backward_data) {
      const msd::ConvBackwardDataArgs args{o.y_view(s), o.backward.data(), o.x_view(s), s.g,
                                           s.g.kernel == 1};
      conv_backward_data(context, {&args, 1});
    } else {
      const msd::ConvBackwardWeightArgs args{o.x_view(s),      o.y_view(s), o.weight.data(),
                                             nullptr,          s.g,         o.workspace.data(),
                                             o.workspace_bytes};
      conv_backward_weight(context, {&args, 1});
    }
    benchmark::ClobberMemory();
  }
  state.counters["GFMA/s"] =
      benchmark::Counter(s.mul_adds() * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

const bool kRegistered = [] {
  struct Entry {
    std::int64_t cin, cout, kernel, stride, size;
  };
  const Entry cifar[] = {
      {16, 6, 1, 1, 32},   {40, 6, 1, 1, 32},   {64, 6, 1, 1, 32},   {32, 12, 1, 1, 16},
      {68, 12, 1, 1, 16},  {128, 12, 1, 1, 16}, {56, 24, 1, 1, 16},  {106, 24, 1, 1, 16},
      {154, 24, 1, 1, 16}, {88, 48, 1, 1, 8},   {184, 48, 1, 1, 8},  {308, 48, 1, 1, 8},
      {212, 96, 1, 1, 8},  {332, 164, 1, 1, 8}, {140, 70, 1, 1, 16}, {3, 16, 3, 1, 32},
      {16, 32, 3, 2, 32},  {32, 64, 3, 2, 16},  {6, 6, 3, 1, 32},    {6, 6, 3, 2, 32},
      {12, 6, 3, 1, 16},   {24, 12, 3, 1, 16},  {24, 12, 3, 2, 16},  {48, 12, 3, 1, 8},
      {96, 24, 3, 1, 8},   {308, 128, 3, 2, 8}, {128, 128, 3, 2, 4}};
  const Entry imagenet[] = {{3, 64, 7, 2, 224},  {32, 16, 1, 1, 56}, {16, 16, 3, 1, 56},
                            {64, 64, 1, 1, 28},  {64, 32, 3, 1, 28}, {128, 128, 1, 1, 14},
                            {128, 64, 3, 2, 14}, {256, 64, 3, 1, 7}};
  const auto add = [](const Entry& e, std::int64_t n) {
    const Shape shape{n, e.size, {e.cin, e.cout, e.kernel, e.stride, e.kernel / 2}};
    const std::string name = std::to_string(e.cin) + "x" + std::to_string(e.cout) + "k" +
                             std::to_string(e.kernel) + "s" + std::to_string(e.stride) + "/" +
                             std::to_string(e.size) + "x" + std::to_string(e.size) + "/n" +
                             std::to_string(n);
    const auto one = [&](const char* op_name, Op op) {
      benchmark::RegisterBenchmark((std::string(op_name) + "/" + name).c_str(), run, op, shape)
          ->ArgName("sets")
          ->Arg(1)
          ->Arg(0);
    };
    one("conv_forward", Op::forward);
    if (e.cin > 3) one("conv_backward_data", Op::backward_data);
    one("conv_backward_weight", Op::backward_weight);
  };
  for (const Entry& entry : cifar) {
    for (const std::int64_t n : {1, 64}) add(entry, n);
  }
  for (const Entry& entry : imagenet) {
    for (const std::int64_t n : {1, 8}) add(entry, n);
  }
  return true;
}();

}  // namespace
