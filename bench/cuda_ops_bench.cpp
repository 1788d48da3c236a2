// SPDX-License-Identifier: MIT
// The other CUDA bodies at the shapes of nets A (CIFAR) and E (ImageNet): pooling, the classifiers,
// what exits are made into, images. Names, timing and counters as in cuda_bench.cpp.
// Never ran on a GPU yet.
#include <cstdint>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/cuda_bench.h"
#include "kernels/check.h"
#include "tests/kernels/calls/classification.h"
#include "tests/kernels/calls/exits.h"
#include "tests/kernels/calls/images.h"
#include "tests/kernels/calls/linear.h"
#include "tests/kernels/calls/movement.h"
#include "tests/kernels/calls/pooling.h"

namespace msd::bench {
namespace {

using calls::dense;

std::int64_t elems_of(const calls::Shape& s, DType dtype) {
  return s.rows() * row_pitch(s.c, dtype);
}

template <template <typename> class Call, typename PoolShape>
void pool(benchmark::State& state, const PoolShape& s, DType dtype, std::int64_t large_maps) {
  Gpu gpu;
  const calls::Gap gap = dense(s.x.c, dtype);
  measure_call(state, gpu, dtype,
               size_bytes(dtype) * (elems_of(s.y(), dtype) + elems_of(s.x, dtype) * large_maps),
               0.0, [&](DeviceMemory memory) {
                 return Call<DeviceMemory>(s, {gap, gap, gap, gap}, memory);
               });
}

template <template <typename> class Call>
void linear(benchmark::State& state, const calls::LinearShape& s, DType dtype,
            std::int64_t passes) {
  Gpu gpu;
  const calls::Gap x = dense(s.in, dtype), y = dense(s.out, dtype);
  const std::int64_t elems =
      elems_of({s.n, 1, 1, s.in}, dtype) + elems_of({s.n, 1, 1, s.out}, dtype);
  measure_call(state, gpu, dtype, passes * (size_bytes(dtype) * elems + 4 * s.in * s.out),
               static_cast<double>(passes * s.n * s.in * s.out), [&](DeviceMemory memory) {
                 return Call<DeviceMemory>(s, calls::Gaps{x, y, y, x}, memory);
               });
}

enum class ExitsOp { loss, confidence, count };

/// A network's exits: one group.
void exits(benchmark::State& state, ExitsOp op, const calls::ExitsShape& s, DType dtype) {
  Gpu gpu;
  const calls::LogitsShape one = {s.n, s.classes};
  const calls::Gap gap = dense(s.classes, dtype);
  const std::int64_t bytes =
      s.exits * size_bytes(dtype) * elems_of(one.map(), dtype) * (op == ExitsOp::loss ? 2 : 1);
  const auto measured = [&](auto make, auto run) {
    measure_calls(
        state, gpu, dtype, bytes, 0.0,
        [&](DeviceMemory memory) {
          std::vector<decltype(make(memory))> all;
          for (std::int64_t k = 0; k < s.exits; ++k) all.push_back(make(memory));
          return all;
        },
        run);
  };
  if (op == ExitsOp::loss) {
    measured(
        [&](DeviceMemory memory) {
          return calls::SoftmaxCrossEntropy<DeviceMemory>(one, calls::Gaps{gap, gap}, memory);
        },
        [](ExecutionContext& context, auto& all) {
          std::vector<SoftmaxCrossEntropyArgs> group;
          for (auto& call : all) group.push_back(call.args());
          softmax_cross_entropy(context, group);
        });
  } else if (op == ExitsOp::confidence) {
    measured(
        [&](DeviceMemory memory) {
          return calls::SoftmaxConfidence<DeviceMemory>(one, calls::Gaps{gap, gap}, memory);
        },
        [](ExecutionContext& context, auto& all) {
          std::vector<SoftmaxConfidenceArgs> group;
          for (auto& call : all) {
            SoftmaxConfidenceArgs& args = group.emplace_back();
            args.logits = call.logits.view();
            args.max = call.max.data();
          }
          softmax_confidence(context, group);
        });
  } else {
    measure_call(state, gpu, dtype, bytes, 0.0, [&](DeviceMemory memory) {
      return calls::CountExits<DeviceMemory>(s, gap, memory);
    });
  }
}

void select_survivors(benchmark::State& state, std::int64_t count) {
  Gpu gpu;
  measure_call(state, gpu, DType::f32, 8 * count, 0.0, [&](DeviceMemory memory) {
    return calls::SelectSurvivors<DeviceMemory>(count, 0.0, memory);
  });
}

void image_to_float(benchmark::State& state, std::int64_t n, std::int64_t size, DType dtype) {
  Gpu gpu;
  const calls::Shape out = {n, size, size, 3};
  std::vector<std::int64_t> in_order(static_cast<std::size_t>(n));
  std::iota(in_order.begin(), in_order.end(), std::int64_t{0});
  const Memory crops = zeros(n * static_cast<std::int64_t>(sizeof(CropFlip)));
  measure_call(
      state, gpu, dtype, out.elems() * (1 + size_bytes(dtype)), 0.0, [&](DeviceMemory memory) {
        calls::ImageToFloat<DeviceMemory> call({n, size, size, out}, dense(3, dtype), memory);
        MSD_CUDA_CHECK(cudaMemcpy(call.index.data(), in_order.data(),
                                  static_cast<std::size_t>(8 * n), cudaMemcpyHostToDevice));
        call.crops = static_cast<CropFlip*>(crops.get());
        return call;
      });
}

struct MapShape {
  std::int64_t n, size, c;
};

/// Half of the images of a feature buffer, and two feature maps joined.
void gather_or_concat(benchmark::State& state, bool gather, const MapShape& s, DType dtype) {
  Gpu gpu;
  const calls::Shape map = {s.n, s.size, s.size, s.c};
  const calls::Gap gap = dense(s.c, dtype);
  const std::int64_t bytes = size_bytes(dtype) * elems_of(map, dtype) * (gather ? 1 : 4);
  if (gather) {
    measure_call(state, gpu, dtype, bytes, 0.0, [&](DeviceMemory memory) {
      return calls::GatherRows<DeviceMemory>(map, s.n / 2, gap, gap, memory);
    });
  } else {
    measure_call(state, gpu, dtype, bytes, 0.0, [&](DeviceMemory memory) {
      return calls::Concat<DeviceMemory>(map, {s.c, s.c}, gap, dense(2 * s.c, dtype), memory);
    });
  }
}

[[maybe_unused]] const bool kRegistered = [] {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const std::string_view type = name(dtype);
    const auto pooling = [&](const char* op_name, auto body, const auto& s, std::int64_t maps) {
      add(message(op_name, "/", type, "/", s.x.c, "/", s.x.h, "x", s.x.w, "/n", s.x.n),
          [=](benchmark::State& state) { body(state, s, dtype, maps); });
    };
    // Net E's stem and the classifiers of nets A and E, which take the mean of all positions.
    const calls::MaxPoolShape stem = {{256, 112, 112, 32}, {3, 2, 1}};
    pooling("max_pool_forward", &pool<calls::MaxPoolForward, calls::MaxPoolShape>, stem, 1);
    pooling("max_pool_backward", &pool<calls::MaxPoolBackward, calls::MaxPoolShape>, stem, 2);
    for (const calls::AvgPoolShape& s : {calls::AvgPoolShape{{64, 2, 2, 128}, 2, 2},
                                         calls::AvgPoolShape{{256, 2, 2, 384}, 2, 2}}) {
      pooling("avg_pool_forward", &pool<calls::AvgPoolForward, calls::AvgPoolShape>, s, 1);
      pooling("avg_pool_backward", &pool<calls::AvgPoolBackward, calls::AvgPoolShape>, s, 1);
    }
    for (const calls::LinearShape& s :
         {calls::LinearShape{64, 128, 10}, calls::LinearShape{256, 384, 1000}}) {
      const auto one = [&](const char* op_name, auto body, std::int64_t passes) {
        add(message(op_name, "/", type, "/", s.in, "x", s.out, "/n", s.n),
            [=](benchmark::State& state) { body(state, s, dtype, passes); });
      };
      one("linear_forward", &linear<calls::LinearForward>, 1);
      one("linear_backward", &linear<calls::LinearBackward>, 2);
    }
    for (const calls::ExitsShape& s :
         {calls::ExitsShape{64, 10, 10}, calls::ExitsShape{256, 1000, 5}}) {
      const auto one = [&](const char* op_name, ExitsOp op) {
        add(message(op_name, "/", type, "/", s.classes, "/exits", s.exits, "/n", s.n),
            [=](benchmark::State& state) { exits(state, op, s, dtype); });
      };
      one("softmax_cross_entropy", ExitsOp::loss);
      one("softmax_confidence", ExitsOp::confidence);
      one("count_exits", ExitsOp::count);
    }
    for (const auto& [n, size] : {std::pair{64, 32}, std::pair{256, 224}}) {
      add(message("image_to_float/", type, "/", size, "x", size, "/n", n),
          [=](benchmark::State& state) { image_to_float(state, n, size, dtype); });
    }
    for (const MapShape& s : {MapShape{64, 32, 40}, MapShape{256, 14, 384}}) {
      for (const bool gather : {true, false}) {
        add(message(gather ? "gather_rows/" : "concat/", type, "/", s.c, "/", s.size, "x", s.size,
                    "/n", s.n),
            [=](benchmark::State& state) { gather_or_concat(state, gather, s, dtype); });
      }
    }
  }
  for (const std::int64_t count : {256, 10000}) {
    add(message("select_survivors/f32/", count),
        [=](benchmark::State& state) { select_survivors(state, count); });
  }
  return true;
}();

}  // namespace
}  // namespace msd::bench
