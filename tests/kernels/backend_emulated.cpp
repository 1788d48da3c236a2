// SPDX-License-Identifier: MIT
// The CUDA bodies on the emulated device, in every order of threads, with several seeds and with
// both kinds of poison: 24 ways. A problem whose first run took more than kFewThreads threads, or
// that comes after a test's first kTestThreads, runs in four: each order once, both poisons. One
// after the first kLongTestThreads runs in two, in the orders that show most. Under
// TSan, whose verdict does not depend on the order and for which a block of 256 threads takes
// milliseconds, one way must do.
#include <gtest/gtest.h>

#include <algorithm>
#include <new>

#include "kernels/cuda/device/context.h"
#include "kernels/cuda/device/ops.h"
#include "kernels/cuda/device/stream.h"
#include "tests/emulation/emulation.h"
#include "tests/kernels/backend.h"

namespace msd::test::backend {
namespace {

using emulation::Order;

constexpr std::int64_t kFewThreads = 5000, kTestThreads = 60000, kLongTestThreads = 150000;
constexpr std::int64_t kPoisonedBytes = 64 << 10;  // of each problem's share of the workspace

const char* name(Order order) {
  switch (order) {
    case Order::forward:
      return "forward";
    case Order::reverse:
      return "reverse";
    case Order::random:
      return "random";
    case Order::unfair:
      return "unfair";
  }
  return "?";
}

/// For as long as the tests run.
cuda::Stream& stream() {
  static cuda::Stream the_stream(0);
  the_stream.context().blocking = true;
  return the_stream;
}

ExecutionContext device_context() {
  ExecutionContext context;
  context.device = DeviceType::cuda;
  context.cuda = &stream().context();
  return context;
}

void poison_workspace(unsigned char poison) {
  auto* workspace = static_cast<char*>(stream().context().workspace);
  for (std::int64_t at = 0; at < cuda::kWorkspaceBytes; at += cuda::kWorkspaceBytes / 8) {
    stream().set_bytes(workspace + at, poison, kPoisonedBytes);
  }
}

[[maybe_unused]] std::vector<emulation::Settings> many_ways() {
  std::vector<emulation::Settings> ways;
  for (const Order order : {Order::forward, Order::reverse, Order::random, Order::unfair}) {
    for (const std::uint64_t seed : {1u, 2u, 3u}) {
      for (const int poison : {0xFF, 0x00}) {
        ways.push_back({order, seed, static_cast<unsigned char>(poison)});
      }
    }
  }
  return ways;
}

std::vector<emulation::Settings> few_ways() {
  return {{Order::forward, 1, 0xFF},
          {Order::unfair, 2, 0x00},
          {Order::random, 3, 0xFF},
          {Order::reverse, 4, 0x00}};
}

[[maybe_unused]] std::vector<emulation::Settings> two_ways() {
  return {{Order::random, 3, 0xFF}, {Order::unfair, 2, 0x00}};
}

/// Threads the test at hand has run so far.
[[maybe_unused]] std::int64_t threads_of_test() {
  static const testing::TestInfo* test = nullptr;
  static std::int64_t at_start = 0;
  const testing::TestInfo* now = testing::UnitTest::GetInstance()->current_test_info();
  if (now != test) at_start = emulation::threads_run();
  test = now;
  return emulation::threads_run() - at_start;
}

std::vector<emulation::Settings> first_ways() {
#if defined(__SANITIZE_THREAD__)
  return {{Order::unfair, 1, 0xFF}};
#else
  const std::int64_t so_far = threads_of_test();
  return so_far < kTestThreads ? many_ways() : so_far < kLongTestThreads ? few_ways() : two_ways();
#endif
}

}  // namespace

std::string why_not(std::string_view op) {
  const auto missing = cuda::missing_ops();
  const bool is_missing = std::find(missing.begin(), missing.end(), op) != missing.end();
  return is_missing ? "no CUDA body yet" : "";
}
bool must_run() { return false; }

void for_each_variant(const std::function<bool(Variant&)>& visit) {
  std::vector<emulation::Settings> ways = first_ways();
  for (std::size_t i = 0; i < ways.size(); ++i) {
    const emulation::Settings& way = ways[i];
    emulation::reset();
    emulation::configure(way);
    poison_workspace(way.poison);
    Variant variant{std::string("emulated, ") + name(way.order) + " order, seed " +
                        std::to_string(way.seed) + ", poison " + std::to_string(way.poison),
                    "emulated", device_context()};
    const std::int64_t before = emulation::threads_run();
    if (!visit(variant)) return;
    if (i == 0 && ways.size() > 4 && emulation::threads_run() - before > kFewThreads) {
      ways = few_ways();
    }
  }
}

ExecutionContext context(int) {
  emulation::reset();
  emulation::configure({Order::unfair, 1, 0xFF});
  return device_context();
}
std::vector<ExecutionContext> contexts() { return {context(1)}; }

void* allocate(std::size_t bytes) { return ::operator new(bytes); }
void release(void* memory) { ::operator delete(memory); }

}  // namespace msd::test::backend
