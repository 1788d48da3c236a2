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
#include "kernels/error.h"

namespace msd::bench {
namespace {

/// For labels and indices: class or image 0.
Memory zeros(std::int64_t bytes) {
  void* memory = nullptr;
  MSD_CUDA_CHECK(cudaMalloc(&memory, static_cast<std::size_t>(bytes)));
  MSD_CUDA_CHECK(cudaMemset(memory, 0, static_cast<std::size_t>(bytes)));
  return Memory(memory);
}

View rows(void* data, DType dtype, std::int64_t n, std::int64_t size, std::int64_t c) {
  return {data, dtype, n, size, size, c, row_pitch(c, dtype)};
}
std::int64_t elems_of(std::int64_t n, std::int64_t size, std::int64_t c, DType dtype) {
  return n * size * size * row_pitch(c, dtype);
}

struct PoolShape {
  std::int64_t n, size, c;
  bool max;  // 3x3 with stride 2, or over all positions
};

void pool(benchmark::State& state, const PoolShape& s, DType dtype, bool backward) {
  Gpu gpu;
  const PoolGeometry g = {3, 2, 1};
  const std::int64_t out = s.max ? g.out_size(s.size) : 1;
  const std::int64_t large = elems_of(s.n, s.size, s.c, dtype),
                     small = elems_of(s.n, out, s.c, dtype);
  const std::int64_t bytes = size_bytes(dtype) * (small + large * (backward && s.max ? 2 : 1));
  const std::int64_t sets = sets_of(state, bytes);
  const Operands x(sets, large, dtype), y(sets, small, dtype), dx(sets, large, dtype);
  measure(state, gpu, sets, bytes, 0.0, [&](std::int64_t i) {
    const View in = rows(x[i], dtype, s.n, s.size, s.c), slice = rows(y[i], dtype, s.n, out, s.c);
    const View gradient = rows(dx[i], dtype, s.n, s.size, s.c);
    if (s.max && backward) {
      const MaxPoolBackwardArgs args{in, slice, gradient, g, false};
      max_pool_backward(gpu.context(), {&args, 1});
    } else if (s.max) {
      const MaxPoolForwardArgs args{in, slice, g};
      max_pool_forward(gpu.context(), {&args, 1});
    } else if (backward) {
      const AvgPoolBackwardArgs args{slice, gradient, s.size, s.size, false};
      avg_pool_backward(gpu.context(), {&args, 1});
    } else {
      const AvgPoolForwardArgs args{in, slice, s.size, s.size};
      avg_pool_forward(gpu.context(), {&args, 1});
    }
  });
}

struct LinearShape {
  std::int64_t n, in, out;
};

void linear(benchmark::State& state, const LinearShape& s, DType dtype, bool backward) {
  Gpu gpu;
  const std::int64_t x_elems = elems_of(s.n, 1, s.in, dtype),
                     y_elems = elems_of(s.n, 1, s.out, dtype), passes = backward ? 2 : 1;
  const std::int64_t bytes = passes * (size_bytes(dtype) * (x_elems + y_elems) + 4 * s.in * s.out);
  const std::int64_t sets = sets_of(state, bytes);
  const Operands x(sets, x_elems, dtype), y(sets, y_elems, dtype), dx(sets, x_elems, dtype);
  const Operands weight(sets, s.in * s.out, DType::f32), dw(sets, s.in * s.out, DType::f32);
  const Memory bias = random_memory(s.out, DType::f32);
  const auto mul_adds = static_cast<double>(passes * s.n * s.in * s.out);
  measure(state, gpu, sets, bytes, mul_adds, [&](std::int64_t i) {
    const View in = rows(x[i], dtype, s.n, 1, s.in), out = rows(y[i], dtype, s.n, 1, s.out);
    if (backward) {
      const LinearBackwardArgs args{in,    out,        weight[i], rows(dx[i], dtype, s.n, 1, s.in),
                                    dw[i], bias.get(), false};
      linear_backward(gpu.context(), {&args, 1});
    } else {
      const LinearForwardArgs args{in, weight[i], bias.get(), out};
      linear_forward(gpu.context(), {&args, 1});
    }
  });
}

enum class Logits { loss, confidence, count };

/// A network's exits: one group.
struct ExitShape {
  std::int64_t n, classes, exits;
};

void exits(benchmark::State& state, Logits op, const ExitShape& s, DType dtype) {
  Gpu gpu;
  const std::int64_t elems = elems_of(s.n, 1, s.classes, dtype);
  const std::int64_t bytes = s.exits * size_bytes(dtype) * elems * (op == Logits::loss ? 2 : 1);
  const std::int64_t sets = sets_of(state, bytes);
  const Operands z(sets * s.exits, elems, dtype), dz(sets * s.exits, elems, dtype);
  const Memory labels = zeros(4 * s.n), values = zeros(64 * s.exits),
               confidence = zeros(4 * s.n * s.exits), sums = zeros(4 * s.n * s.classes);
  measure(state, gpu, sets, bytes, 0.0, [&](std::int64_t set) {
    std::vector<SoftmaxCrossEntropyArgs> losses;
    std::vector<SoftmaxConfidenceArgs> confidences;
    std::vector<ConstView> views;
    for (std::int64_t k = 0; k < s.exits; ++k) {
      const View logits = rows(z[set * s.exits + k], dtype, s.n, 1, s.classes);
      views.push_back(logits);
      losses.push_back({logits, static_cast<std::int32_t*>(labels.get()), 1.0,
                        static_cast<float*>(values.get()) + k,
                        rows(dz[set * s.exits + k], dtype, s.n, 1, s.classes)});
      SoftmaxConfidenceArgs args;
      args.logits = logits;
      args.max = static_cast<float*>(confidence.get()) + k * s.n;
      confidences.push_back(args);
    }
    if (op == Logits::loss) {
      softmax_cross_entropy(gpu.context(), losses);
    } else if (op == Logits::confidence) {
      softmax_confidence(gpu.context(), confidences);
    } else {
      auto* loss = static_cast<double*>(values.get());
      const CountExitsArgs args{views, static_cast<std::int32_t*>(labels.get()), sums.get(), loss,
                                static_cast<std::int64_t*>(values.get()) + s.exits};
      count_exits(gpu.context(), {&args, 1});
    }
  });
}

void select_survivors(benchmark::State& state, std::int64_t count) {
  Gpu gpu;
  const std::int64_t sets = sets_of(state, 8 * count);
  const Operands confidence(sets, count, DType::f32), survivors(sets, count, DType::f32);
  const Memory m = zeros(4);
  measure(state, gpu, sets, 8 * count, 0.0, [&](std::int64_t i) {
    const SelectSurvivorsArgs args{confidence[i],
                                   count,
                                   DType::f32,
                                   0.0,
                                   static_cast<std::int32_t*>(survivors[i]),
                                   static_cast<std::int32_t*>(m.get())};
    select_survivors(gpu.context(), {&args, 1});
  });
}

void image_to_float(benchmark::State& state, std::int64_t n, std::int64_t size, DType dtype) {
  Gpu gpu;
  const std::int64_t pixels = n * size * size, elems = elems_of(n, size, 3, dtype);
  const std::int64_t bytes = 3 * pixels * (1 + size_bytes(dtype));
  const std::int64_t sets = sets_of(state, bytes);
  const Operands y(sets, elems, dtype), images(sets, pixels, DType::f32);
  const Memory crops = zeros(n * static_cast<std::int64_t>(sizeof(CropFlip)));
  const Memory normal = random_memory(6, DType::f32);
  std::vector<std::int64_t> in_order(static_cast<std::size_t>(n));
  std::iota(in_order.begin(), in_order.end(), std::int64_t{0});
  const Memory index = zeros(8 * n);
  MSD_CUDA_CHECK(cudaMemcpy(index.get(), in_order.data(), static_cast<std::size_t>(8 * n),
                            cudaMemcpyHostToDevice));
  measure(state, gpu, sets, bytes, 0.0, [&](std::int64_t i) {
    const ImageToFloatArgs args{static_cast<std::uint8_t*>(images[i]),
                                n,
                                size,
                                size,
                                static_cast<std::int64_t*>(index.get()),
                                static_cast<CropFlip*>(crops.get()),
                                static_cast<float*>(normal.get()),
                                static_cast<float*>(normal.get()) + 3,
                                rows(y[i], dtype, n, size, 3)};
    image_to_float(gpu.context(), {&args, 1});
  });
}

struct MapShape {
  std::int64_t n, size, c;
};

/// Half of the images of a feature buffer, and two feature maps joined.
void gather_or_concat(benchmark::State& state, bool gather, const MapShape& s, DType dtype) {
  Gpu gpu;
  const std::int64_t elems = elems_of(s.n, s.size, s.c, dtype);
  const std::int64_t bytes = size_bytes(dtype) * elems * (gather ? 1 : 4);
  const std::int64_t sets = sets_of(state, bytes);
  const Operands x(sets, elems, dtype), other(sets, elems, dtype);
  const Operands y(sets, elems_of(s.n, s.size, 2 * s.c, dtype), dtype);
  const Memory index = zeros(4 * s.n);
  measure(state, gpu, sets, bytes, 0.0, [&](std::int64_t i) {
    if (gather) {
      const GatherRowsArgs args{rows(x[i], dtype, s.n, s.size, s.c),
                                static_cast<std::int32_t*>(index.get()),
                                rows(y[i], dtype, s.n / 2, s.size, s.c)};
      gather_rows(gpu.context(), {&args, 1});
    } else {
      const ConstView inputs[] = {rows(x[i], dtype, s.n, s.size, s.c),
                                  rows(other[i], dtype, s.n, s.size, s.c)};
      const ConcatArgs args{inputs, rows(y[i], dtype, s.n, s.size, 2 * s.c)};
      concat(gpu.context(), {&args, 1});
    }
  });
}

[[maybe_unused]] const bool kRegistered = [] {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const std::string_view type = name(dtype);
    // Net E's stem and the classifiers of nets A and E.
    for (const PoolShape& s : {PoolShape{256, 112, 32, true}, PoolShape{64, 2, 128, false},
                               PoolShape{256, 2, 384, false}}) {
      for (const bool backward : {false, true}) {
        const char* pass = backward ? "pool_backward/" : "pool_forward/";
        add(message(s.max ? "max_" : "avg_", pass, type, "/", s.c, "/", s.size, "x", s.size, "/n",
                    s.n),
            [=](benchmark::State& state) { pool(state, s, dtype, backward); });
      }
    }
    for (const LinearShape& s : {LinearShape{64, 128, 10}, LinearShape{256, 384, 1000}}) {
      for (const bool backward : {false, true}) {
        add(message(backward ? "linear_backward/" : "linear_forward/", type, "/", s.in, "x", s.out,
                    "/n", s.n),
            [=](benchmark::State& state) { linear(state, s, dtype, backward); });
      }
    }
    for (const ExitShape& s : {ExitShape{64, 10, 10}, ExitShape{256, 1000, 5}}) {
      const auto one = [&](const char* op_name, Logits op) {
        add(message(op_name, "/", type, "/", s.classes, "/exits", s.exits, "/n", s.n),
            [=](benchmark::State& state) { exits(state, op, s, dtype); });
      };
      one("softmax_cross_entropy", Logits::loss);
      one("softmax_confidence", Logits::confidence);
      one("count_exits", Logits::count);
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
