// SPDX-License-Identifier: MIT
#include <new>

#include "kernels/check.h"
#include "kernels/cpu/device/op_table.h"
#include "tests/kernels/backend.h"
#include "tests/kernels/op_harness.h"

namespace msd::test::backend {
namespace {

cpu::ThreadPool& pool_of(int threads) {
  static cpu::ThreadPool one(1), two(2), three(3);
  return threads == 1 ? one : threads == 2 ? two : three;
}

void poison_scratch(const cpu::ThreadPool& pool) {
  constexpr std::size_t kTags = 16384;  // 128 KB: more than the shapes of tests use
  for (int worker = 0; worker < pool.size(); ++worker) {
    auto* scratch = reinterpret_cast<double*>(pool.scratch(worker));
    for (std::size_t i = 0; i < kTags; ++i) scratch[i] = tag_of<double>(i);
  }
}

ExecutionContext context_of(cpu::Isa isa, int threads) {
  ExecutionContext context;
  context.pool = &pool_of(threads);
  context.cpu_ops = &cpu::op_table(isa);
  return context;
}

}  // namespace

std::string why_not(std::string_view) { return {}; }
bool must_run() { return false; }

void for_each_variant(const std::function<bool(Variant&)>& visit) {
  for (const cpu::Isa isa : cpu::available_isas()) {
    for (const int threads : {1, 2, 3, 3}) {
      Variant variant{message(cpu::name(isa), ", ", threads, " threads"),
                      std::string(cpu::name(isa)), context_of(isa, threads)};
      poison_scratch(*variant.context.pool);
      if (!visit(variant)) return;
    }
  }
}

ExecutionContext context(int threads) { return context_of(cpu::default_isa(), threads); }

std::vector<ExecutionContext> contexts() {
  std::vector<ExecutionContext> all;
  for (const cpu::Isa isa : cpu::available_isas()) all.push_back(context_of(isa, 1));
  return all;
}

void* allocate(std::size_t bytes) { return ::operator new(bytes); }
void release(void* memory) { ::operator delete(memory); }

}  // namespace msd::test::backend
