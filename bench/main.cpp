// SPDX-License-Identifier: MIT
// msd-bench [--threads N] [Google Benchmark's options]: micro-benchmarks of the ops and whole
// training steps and evaluations of the named networks.
#include <benchmark/benchmark.h>

#include <charconv>
#include <iostream>
#include <string_view>
#include <vector>

#include "bench/bench_options.h"
#include "kernels/cpu/device/op_table.h"

namespace {
int threads = 1;
}

int msd::bench_threads() { return threads; }

int main(int argc, char** argv) {
  std::vector<char*> rest;
  for (int i = 0; i < argc; ++i) {
    if (std::string_view(argv[i]) != "--threads") {
      rest.push_back(argv[i]);
      continue;
    }
    const std::string_view value = i + 1 < argc ? argv[++i] : "";
    const auto [end, error] = std::from_chars(value.begin(), value.end(), threads);
    if (error != std::errc() || end != value.end() || threads < 1 || threads > 4096) {
      std::cerr << "msd-bench: --threads needs a number from 1 to 4096\n";
      return 2;
    }
  }
  int count = static_cast<int>(rest.size());
  benchmark::AddCustomContext("msd_cpu_isa", std::string(name(msd::cpu::default_isa())));
  benchmark::AddCustomContext("msd_threads", std::to_string(threads));
  benchmark::Initialize(&count, rest.data());
  if (benchmark::ReportUnrecognizedArguments(count, rest.data())) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
