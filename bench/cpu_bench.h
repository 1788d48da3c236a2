// SPDX-License-Identifier: MIT
// What the benchmarks of the CPU bodies share: a context, operands in memory, sets of them.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <type_traits>
#include <vector>

#include "bench/bench_options.h"
#include "bench/floats.h"
#include "kernels/cpu/device/op_table.h"
#include "tests/kernels/calls/memory.h"

namespace msd::bench {

struct Cpu {
  cpu::ThreadPool pool{bench_threads()};
  ExecutionContext context{DeviceType::cpu, &pool, &cpu::op_table(cpu::default_isa())};
};

/// A call's memory (tests/kernels/calls/memory.h): random floats, also in what is to be written.
struct HostMemory {
  struct Rows {
    View view() {
      return {floats.data() + gap.before,      DType::f32, shape.n, shape.h, shape.w, shape.c,
              gap.before + shape.c + gap.after};
    }
    calls::Shape shape;
    calls::Gap gap;
    Floats floats;
  };
  using Values = Floats;
  template <typename E>
  using Array = std::vector<E>;
  static constexpr DType kValues = DType::f32;

  static Rows rows(calls::Shape s, calls::Gap gap, calls::Content content) {
    return {s, gap, flat(s.rows() * (gap.before + s.c + gap.after), content)};
  }
  static Rows shared_rows(std::int64_t count) { return rows({1, 1, 1, count}, {}, {}); }
  static Values values(std::int64_t count, calls::Content content) { return flat(count, content); }
  static Values flat(std::int64_t count, calls::Content content) {
    return Floats(count, static_cast<float>(content.low), static_cast<float>(content.high));
  }
  /// Zeros where no content is asked for.
  template <typename E>
  static Array<E> array(std::int64_t count, calls::Content content) {
    std::vector<E> values(static_cast<std::size_t>(count));
    static std::mt19937 engine(3);
    if (content.seed == 0) return values;
    if constexpr (std::is_integral_v<E>) {
      std::uniform_int_distribution<std::int64_t> any(static_cast<std::int64_t>(content.low),
                                                      static_cast<std::int64_t>(content.high));
      for (E& value : values) value = static_cast<E>(any(engine));
    } else {
      std::uniform_real_distribution<E> any(static_cast<E>(content.low),
                                            static_cast<E>(content.high));
      for (E& value : values) value = any(engine);
    }
    return values;
  }
  template <typename E>
  static Array<E> large(std::int64_t count, calls::Content content) {
    return array<E>(count, content);
  }
};

inline constexpr std::int64_t kColdBytes = 128 << 20;

/// Runs `sets` calls in turn. make(): one of them.
template <typename Make>
void run_in_turn(benchmark::State& state, std::int64_t sets, Make make) {
  Cpu cpu;
  std::vector<decltype(make())> all;
  for (std::int64_t i = 0; i < sets; ++i) {
    all.push_back(make());
    if constexpr (requires { all.back().packed; }) all.back().pack(cpu.context);
  }
  std::size_t next = 0;
  for (auto _ : state) {
    calls::run(cpu.context, all[next]);
    next = next + 1 == all.size() ? 0 : next + 1;
    benchmark::ClobberMemory();
  }
}

}  // namespace msd::bench
