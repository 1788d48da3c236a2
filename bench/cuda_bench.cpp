// SPDX-License-Identifier: MIT
// The convolutions and batch norms of nets A (cifar10-anytime10), D (cifar100-batch5) and E
// (imagenet-k4) at batch 64, each distinct shape once, and SGD over the parameters of A and E:
//   cuda/conv_<pass>/<net>/<k>x<k>[s<stride>]/<h>x<w>/<cin>to<cout>/<precision>/sets:<1|0>, and
//   with /cudnn or /cublaslt behind the precision where the plugin opens
//   cuda/batchnorm_<pass>/<net>/<h>x<w>/<channels>/<type>/sets:<1|0>
// Views have the pitches they have in the network. Timed with CUDA events. sets:1 works on one set
// of operands, which stays in L2 where it fits; sets:0 cycles through so many that they do not.
// Bytes are those the formula needs, each operand once a pass. of_copy: bytes/s as a share of a
// device-to-device copy's of 1 GiB, the memory's roof. Never ran on a GPU yet.
#include <cstdint>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <variant>

#include "bench/cuda_bench.h"
#include "kernels/check.h"
#include "models/network/architecture.h"
#include "tests/kernels/calls/batchnorm.h"
#include "tests/kernels/calls/convolution.h"
#include "tests/kernels/calls/optimizer.h"

namespace msd::bench {
namespace {

constexpr std::int64_t kBatch = 64;

struct ConvShape {
  std::int64_t size, x_channels;  // of the buffer whose slice x is
  ConvGeometry g;
  bool image;  // x has no gradient
};

const msd::cuda::PluginTable* plugin() {
  static const msd::cuda::FoundPlugin found = msd::cuda::open_plugin();
  return found.table;
}

/// algorithm: "" for handwritten.
template <template <typename> class Call>
void convolution(benchmark::State& state, const ConvShape& s, Precision precision,
                 const std::string& algorithm) {
  using Op = Call<DeviceMemory>;
  constexpr bool kGradient = std::is_same_v<Op, calls::ConvBackwardData<DeviceMemory>>;
  constexpr bool kWeightGradient = std::is_same_v<Op, calls::ConvBackwardWeight<DeviceMemory>>;
  Gpu gpu;
  if (!algorithm.empty()) gpu.use(*plugin(), message(Op::kName, "=", algorithm));
  gpu.allow_tf32(precision == Precision::tf32);
  const DType dtype = activations(precision);
  // Features that several layers read collect their gradients.
  const bool accumulate = kGradient && s.x_channels > s.g.cin;
  const calls::ConvShape shape = {kBatch, s.size, s.size, s.g, false, true, accumulate};
  const calls::Gaps gaps = {calls::slice(s.g.cin, row_pitch(s.x_channels, dtype)),
                            calls::dense(s.g.cout, dtype)};
  const std::int64_t bytes_each = size_bytes(dtype);
  const std::int64_t bytes =
      bytes_each * (shape.x().elems() * (accumulate ? 2 : 1) + shape.y().elems()) +
      s.g.weight_elems() * (kWeightGradient ? 4 : bytes_each);
  measure_call(state, gpu, dtype, bytes, static_cast<double>(shape.y().rows() * s.g.weight_elems()),
               [&](DeviceMemory memory) { return Op(shape, {}, gaps, memory); });
}

struct NormShape {
  std::int64_t size, c, y_channels;  // of the buffer whose slice y is
};

template <template <typename> class Call>
void batchnorm(benchmark::State& state, const NormShape& s, DType dtype, std::int64_t passes) {
  Gpu gpu;
  const calls::Shape shape = {kBatch, s.size, s.size, s.c};
  const calls::Gap x = calls::dense(s.c, dtype),
                   y = calls::slice(s.c, row_pitch(s.y_channels, dtype));
  measure_call(state, gpu, dtype, shape.elems() * size_bytes(dtype) * passes, 0.0,
               [&](DeviceMemory memory) {
                 return Call<DeviceMemory>(shape, calls::Gaps{x, y, y, y}, memory);
               });
}

void sgd(benchmark::State& state, std::int64_t count) {
  Gpu gpu;
  measure_call(state, gpu, DType::f32, 20 * count, 0.0, [&](DeviceMemory memory) {
    return calls::Sgd<DeviceMemory>(count, {.weight_decay = 1e-4}, memory);
  });
}

void add_convolutions(const std::string& net, const Architecture& architecture) {
  std::set<std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t>> seen;
  for (const Operation& op : architecture.operations) {
    const auto* conv = std::get_if<Convolution>(&op.kind);
    if (conv == nullptr) continue;
    const FeatureBuffer& in = architecture.buffers[static_cast<std::size_t>(op.input.buffer)];
    const ConvShape s{in.size, in.channels, conv->geometry, op.input.buffer == 0};
    if (!seen.emplace(s.size, s.g.cin, s.g.cout, s.g.kernel, s.g.stride).second) continue;
    const std::string shape = message(net, "/", s.g.kernel, "x", s.g.kernel,
                                      s.g.stride == 1 ? "" : message("s", s.g.stride), "/", s.size,
                                      "x", s.size, "/", s.g.cin, "to", s.g.cout);
    const auto one = [&](const char* op_name, auto body) {
      for (const Precision precision : kPrecisions) {
        const std::string title = message(op_name, "/", shape, "/", name(precision));
        const auto by = [=](const std::string& algorithm) {
          add(algorithm.empty() ? title : title + "/" + algorithm,
              [=](benchmark::State& state) { body(state, s, precision, algorithm); });
        };
        by("");
        if (plugin() == nullptr) continue;
        by("cudnn");
        if (s.g.kernel == 1 && s.g.stride == 1) by("cublaslt");
      }
    };
    one("conv_forward", &convolution<calls::ConvForward>);
    if (!s.image) one("conv_backward_data", &convolution<calls::ConvBackwardData>);
    one("conv_backward_weight", &convolution<calls::ConvBackwardWeight>);
  }
}

void add_batchnorms(const std::string& net, const Architecture& architecture) {
  std::set<std::tuple<std::int64_t, std::int64_t>> seen;
  for (const Operation& op : architecture.operations) {
    if (!std::holds_alternative<Convolution>(op.kind)) continue;
    const FeatureBuffer& out = architecture.buffers[static_cast<std::size_t>(op.output.buffer)];
    const NormShape s{out.size, op.output.channels, out.channels};
    if (!seen.emplace(s.size, s.c).second) continue;
    for (const DType dtype : {DType::bf16, DType::f32}) {
      const auto one = [&](const char* op_name, auto body, std::int64_t passes) {
        add(message(op_name, "/", net, "/", s.size, "x", s.size, "/", s.c, "/", name(dtype)),
            [=](benchmark::State& state) { body(state, s, dtype, passes); });
      };
      one("batchnorm_forward", &batchnorm<calls::BatchnormForward>, 3);
      one("batchnorm_backward", &batchnorm<calls::BatchnormBackward>, 5);
      one("batchnorm_inference", &batchnorm<calls::BatchnormInference>, 2);
    }
  }
}

[[maybe_unused]] const bool kRegistered = [] {
  for (const auto& [net, preset_name] :
       {std::pair{"A", "cifar10-anytime10"}, std::pair{"D", "cifar100-batch5"},
        std::pair{"E", "imagenet-k4"}}) {
    const Architecture architecture = make_architecture(preset(preset_name));
    add_convolutions(net, architecture);
    add_batchnorms(net, architecture);
  }
  for (const std::int64_t count : {4839544, 23958440}) {  // nets A and E
    add(message("sgd/f32/", count), [=](benchmark::State& state) { sgd(state, count); });
  }
  return true;
}();

}  // namespace
}  // namespace msd::bench
