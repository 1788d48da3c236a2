// SPDX-License-Identifier: MIT
// Convolutions at the shapes of net A (CIFAR) and of the ImageNet stem and branches, each op alone:
//   conv_forward/<cin>x<cout>k<k>s<s>/<h>x<w>/n<batch>/sets:<1|0>, and backward_data,
//   backward_weight
// A 1x1 reads a prefix of a wider feature buffer and its gradient is added there, as in a network.
// sets:1 works on one set of operands (those of batch 1 stay in cache), sets:0 cycles through so
// many that each comes from memory. GFMA/s counts multiply-adds, padding taps included.
#include <algorithm>
#include <cstdint>
#include <string>

#include "bench/cpu_bench.h"
#include "tests/kernels/calls/convolution.h"

namespace msd::bench {
namespace {

using calls::ConvShape;

template <template <typename> class Call>
void run(benchmark::State& state, ConvShape s) {
  const ConvGeometry& g = s.g;
  s.bias = false, s.relu = true, s.accumulate = g.kernel == 1;
  const std::int64_t x_pitch = row_pitch(g.kernel == 1 ? g.cin + 24 : g.cin, DType::f32);
  const std::int64_t y_rows = s.y().rows();
  const std::int64_t bytes = 4 * (s.x().rows() * x_pitch + y_rows * row_pitch(g.cout, DType::f32));
  const std::int64_t sets = state.range(0) == 1 ? 1 : std::max<std::int64_t>(2, kColdBytes / bytes);
  const calls::Gaps gaps = {calls::slice(g.cin, x_pitch), calls::dense(g.cout)};
  run_in_turn(state, sets, [&] { return Call<HostMemory>(s, {1}, gaps); });
  state.counters["GFMA/s"] =
      benchmark::Counter(static_cast<double>(y_rows * g.weight_elems()) * 1e-9,
                         benchmark::Counter::kIsIterationInvariantRate);
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
    const ConvShape shape{n, e.size, e.size, {e.cin, e.cout, e.kernel, e.stride, e.kernel / 2}};
    const std::string name = std::to_string(e.cin) + "x" + std::to_string(e.cout) + "k" +
                             std::to_string(e.kernel) + "s" + std::to_string(e.stride) + "/" +
                             std::to_string(e.size) + "x" + std::to_string(e.size) + "/n" +
                             std::to_string(n);
    const auto one = [&](const char* op_name, auto body) {
      benchmark::RegisterBenchmark((std::string(op_name) + "/" + name).c_str(), body, shape)
          ->ArgName("sets")
          ->Arg(1)
          ->Arg(0);
    };
    one("conv_forward", &run<calls::ConvForward>);
    if (e.cin > 3) one("conv_backward_data", &run<calls::ConvBackwardData>);
    one("conv_backward_weight", &run<calls::ConvBackwardWeight>);
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
}  // namespace msd::bench
