// SPDX-License-Identifier: MIT
// Planted faults of synchronisation, each caught by what is meant to catch it. In a TSan build they
// would end the program, so there they run in processes of their own.
#include "tests/emulation/kernel_run.h"

namespace msd::emulation::test {
namespace {

using cuda::block_sync;
using cuda::launch;

constexpr int kThreads = 128;

enum class Fault { none, no_barrier_before_read, no_barrier_before_overwrite, no_copy_wait };

/// y[t] = x[the thread opposite] + 1, through shared memory that is written twice.
template <Fault kFault>
__global__ void exchange_kernel(const float* x, float* y) {
  MSD_SHARED(float, tile, kThreads);
  const unsigned t = threadIdx.x;
  tile[t] = x[t];
  if (kFault != Fault::no_barrier_before_read) block_sync();
  // The shuffles keep the lanes of a warp together, so that fair orders let all warps read first.
  const float mine = cuda::shuffle(tile[kThreads - 1 - t], cuda::lane_index());
  if (kFault != Fault::no_barrier_before_overwrite) block_sync();
  tile[t] = mine + 1.0f;
  block_sync();
  y[t] = tile[t];
}

template <Fault kFault>
__global__ void copy_kernel(const float* x, float* y) {
  MSD_SHARED(float, tile, kThreads);
  cuda::copy_async<4>(tile + threadIdx.x, x + threadIdx.x);
  cuda::copy_commit();
  if (kFault != Fault::no_copy_wait) cuda::copy_wait<0>();
  y[threadIdx.x] = tile[threadIdx.x];
}

using Kernel = void (*)(const float*, float*);

std::vector<float> output_of(Kernel kernel) {
  Floats x(ramp(kThreads)), y(kThreads);
  launch(nullptr, 1, kThreads, 0, kernel, x.data(), y.data());
  EXPECT_EQ(failure(), "");
  return y.values();
}

std::vector<float> expected() {
  std::vector<float> y(kThreads);
  for (int t = 0; t < kThreads; ++t)
    y[static_cast<std::size_t>(t)] = static_cast<float>(kThreads - t);
  return y;
}

TEST(Race, CorrectKernelIsRightInEveryOrder) {
  for (const Order order : kOrders) {
    for (const std::uint64_t seed : {1u, 2u, 3u}) {
      start(order, seed);
      EXPECT_EQ(output_of(exchange_kernel<Fault::none>), expected());
      EXPECT_EQ(output_of(copy_kernel<Fault::none>), ramp(kThreads));
    }
  }
}

TEST(Race, EveryOrderShowsAReadBeforeTheWrite) {
  if (kTsan) GTEST_SKIP() << "ThreadSanitizer ends the program: see SanitizerNamesBothLines";
  for (const Order order : kOrders) {
    start(order, 1);
    EXPECT_NE(output_of(exchange_kernel<Fault::no_barrier_before_read>), expected());
  }
}

TEST(Race, OnlyTheUnfairOrderShowsAnOverwriteBeforeTheRead) {
  if (kTsan) GTEST_SKIP() << "ThreadSanitizer ends the program: see SanitizerNamesBothLines";
  const Kernel kernel = exchange_kernel<Fault::no_barrier_before_overwrite>;
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    start(Order::unfair, seed);
    EXPECT_NE(output_of(kernel), expected()) << "seed " << seed;
  }
  start(Order::forward, 1);
  EXPECT_EQ(output_of(kernel), expected()) << "a fair order that shows it would be news";
}

TEST(Race, PoisonShowsAMissingCopyWait) {
  std::vector<float> of_poison[2];
  for (const int i : {0, 1}) {
    start(Order::forward, 1, i == 0 ? 0x00 : 0xFF);
    of_poison[i] = output_of(copy_kernel<Fault::no_copy_wait>);
    EXPECT_FALSE(same_bits(of_poison[i], ramp(kThreads)));
  }
  EXPECT_FALSE(same_bits(of_poison[0], of_poison[1]));
}

/// All blocks write y[0].
__global__ void one_element_kernel(float* y) {
  if (threadIdx.x == 0) *y = 1.0f;
}

/// Even blocks write y[0] before a barrier, odd ones after theirs: a barrier orders one block only.
__global__ void one_element_and_barriers_kernel(float* y) {
  if (threadIdx.x == 0 && blockIdx.x % 2 == 0) *y = 1.0f;
  block_sync();
  cuda::warp_sync();
  if (threadIdx.x == 0 && blockIdx.x % 2 == 1) *y = 1.0f;
}

template <typename Run>
[[noreturn]] void run_and_exit(Run run) {
  start(Order::forward, 1);
  run();
  std::exit(0);
}

TEST(RaceDeathTest, SanitizerNamesBothLines) {
  if (!kTsan) GTEST_SKIP() << "needs ThreadSanitizer (preset cpu-tsan)";
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto reported = testing::ExitedWithCode(66);  // TSan's
  const char* race = "data race.*race_test.cpp:[0-9]+";
  EXPECT_EXIT(run_and_exit([] { output_of(exchange_kernel<Fault::no_barrier_before_read>); }),
              reported, race);
  EXPECT_EXIT(run_and_exit([] { output_of(exchange_kernel<Fault::no_barrier_before_overwrite>); }),
              reported, race);
  for (const auto kernel : {one_element_kernel, one_element_and_barriers_kernel}) {
    EXPECT_EXIT(run_and_exit([kernel] {
                  Floats y(1);
                  launch(nullptr, 2, kThreads, 0, kernel, y.data());
                  EXPECT_EQ(failure(), "");
                }),
                reported, race);
  }
  EXPECT_EXIT(run_and_exit([] { output_of(exchange_kernel<Fault::none>); }),
              testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace msd::emulation::test
