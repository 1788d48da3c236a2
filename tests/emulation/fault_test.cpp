// SPDX-License-Identifier: MIT
// Planted faults of memory, divergence and launches.
#include "tests/emulation/kernel_run.h"

namespace msd::emulation::test {
namespace {

using cuda::block_sync;
using cuda::launch;

/// Whether a kernel's outputs depend on what uninitialised memory holds.
template <typename Run>
bool depends_on_poison(Run run) {
  start(Order::forward, 1, 0x00);
  const std::vector<float> zeros = run();
  start(Order::forward, 1, 0xFF);
  return !same_bits(zeros, run());
}

__global__ void skip_one_kernel(float* y, unsigned skipped) {
  if (threadIdx.x != skipped) y[threadIdx.x] = 0.0f;
}

TEST(Fault, PoisonShowsAnUnwrittenOutput) {
  const auto run = [](unsigned skipped) {
    Floats y(32);
    launch(nullptr, 1, 32, 0, skip_one_kernel, y.data(), skipped);
    EXPECT_EQ(failure(), "");
    return y.values();
  };
  EXPECT_FALSE(depends_on_poison([&] { return run(32); }));
  EXPECT_TRUE(depends_on_poison([&] { return run(31); }));
}

template <bool kInitialise>
__global__ void accumulate_in_shared_kernel(float* y) {
  MSD_SHARED(float, sums, 32);
  cuda::SharedPieces pieces;
  auto* more = pieces.take<float>(32);
  if (kInitialise) sums[threadIdx.x] = more[threadIdx.x] = 0.0f;
  sums[threadIdx.x] += 1.0f;
  more[threadIdx.x] += 1.0f;
  y[threadIdx.x] = sums[threadIdx.x] + more[threadIdx.x];
}

TEST(Fault, PoisonShowsUninitialisedSharedMemoryInEveryBlock) {
  const auto run = [](auto kernel) {
    Floats y(32);
    // The second block must not see what the first one left.
    launch(nullptr, 2, 32, cuda::shared_pieces_bytes<float>(32), kernel, y.data());
    EXPECT_EQ(failure(), "");
    return y.values();
  };
  if (!kTsan) {  // the blocks write the same elements
    EXPECT_FALSE(depends_on_poison([&] { return run(accumulate_in_shared_kernel<true>); }));
    EXPECT_TRUE(depends_on_poison([&] { return run(accumulate_in_shared_kernel<false>); }));
  }
}

enum class Divergence {
  two_barriers,
  early_exit,
  exit_while_waiting,
  half_a_warp,
  other_operation
};

__global__ void divergent_kernel(Divergence divergence) {
  const bool first = threadIdx.x < 16;
  switch (divergence) {
    case Divergence::two_barriers:
      if (threadIdx.x < 32) {  // NOLINT(bugprone-branch-clone): two lines are the point
        block_sync();
      } else {
        block_sync();
      }
      return;
    case Divergence::early_exit:
      if (first) return;
      block_sync();
      return;
    case Divergence::exit_while_waiting:
      if (!first) return;
      block_sync();
      return;
    case Divergence::half_a_warp:
      if (first) cuda::warp_sum(1.0f);
      return;
    case Divergence::other_operation:
      first ? cuda::warp_sync() : static_cast<void>(cuda::ballot(true));
      return;
  }
}

TEST(Fault, DivergenceIsReportedWithItsLines) {
  const struct {
    Divergence divergence;
    const char* text;
  } cases[] = {{Divergence::two_barriers, "divergent barrier"},
               {Divergence::early_exit, "left the kernel"},
               {Divergence::exit_while_waiting, "left the kernel"},
               {Divergence::half_a_warp, "shuffle_xor"},
               {Divergence::other_operation, "ballot"}};
  for (const Order order : kOrders) {
    for (const auto& c : cases) {
      start(order, 1);
      launch(nullptr, 1, 64, 0, divergent_kernel, c.divergence);
      const std::string text = failure();
      EXPECT_NE(text.find(c.text), std::string::npos) << text;
      EXPECT_NE(text.find("fault_test.cpp:"), std::string::npos) << text;
      EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorLaunchFailure) << "it sticks";
    }
  }
  start(Order::forward, 1);
  EXPECT_EQ(failure(), "");
}

__global__ void deadlock_kernel() {
  if (threadIdx.x < 32) cuda::warp_sync();
  if (threadIdx.x != 5) block_sync();
  if (threadIdx.x == 5) cuda::warp_sync();
}

TEST(Fault, DeadlockIsReportedWithWhatIsWaitedFor) {
  for (const Order order : kOrders) {
    start(order, 1);
    launch(nullptr, 1, 64, 0, deadlock_kernel);
    const std::string text = failure();
    EXPECT_NE(text.find("block_sync"), std::string::npos) << text;
    EXPECT_NE(text.find("fault_test.cpp:"), std::string::npos) << text;
  }
}

/// Sums a warp with the wrong lane where `delta` is not 16.
__global__ void wrong_lane_kernel(const float* x, float* y, int delta) {
  float sum = x[threadIdx.x];
  sum += cuda::shuffle_down(sum, delta);
  for (int d = 8; d > 0; d /= 2) sum += cuda::shuffle_down(sum, d);
  if (threadIdx.x == 0) *y = sum;
}

TEST(Fault, AWrongLaneGivesAWrongSum) {
  const auto run = [](int delta) {
    start(Order::random, 1);
    Floats x(ramp(32)), y(1);
    launch(nullptr, 1, 32, 0, wrong_lane_kernel, x.data(), y.data(), delta);
    EXPECT_EQ(failure(), "");
    return y.values()[0];
  };
  EXPECT_EQ(run(16), 496.0f);
  EXPECT_NE(run(15), 496.0f);
}

enum class Overrun { static_shared, dynamic_shared, device_memory, misaligned };

__global__ void overrun_kernel(float* y, Overrun overrun, int by) {
  MSD_SHARED(float, fixed, 32);
  cuda::SharedPieces pieces;
  auto* first = pieces.take<float>(32);
  auto* second = pieces.take<float>(32);
  fixed[threadIdx.x] = first[threadIdx.x] = second[threadIdx.x] = 0.0f;
  const int i = static_cast<int>(threadIdx.x) + by;
  float* end = fixed;  // past UBSan, which knows the array's bounds
  if (overrun == Overrun::static_shared) end[i] = 1.0f;
  if (overrun == Overrun::dynamic_shared) first[i] = 1.0f;
  if (overrun == Overrun::device_memory) y[i] = 1.0f;
  if (overrun == Overrun::misaligned && threadIdx.x == 0) y[0] = cuda::load_vector<2>(y + by)[0];
}

void run_overrun(Overrun overrun, int by) {
  start(Order::forward, 1);
  Floats y(32);
  launch(nullptr, 1, 32, 2 * cuda::shared_pieces_bytes<float>(32), overrun_kernel, y.data(),
         overrun, by);
  EXPECT_EQ(failure(), "");
}

TEST(FaultDeathTest, SanitizersStopOverrunsAndMisalignedVectors) {
  if (!kAsan) GTEST_SKIP() << "needs AddressSanitizer (preset cpu-asan)";
  EXPECT_DEATH(run_overrun(Overrun::static_shared, 1), "heap-buffer-overflow");
  EXPECT_DEATH(run_overrun(Overrun::dynamic_shared, 1), "heap-buffer-overflow");
  EXPECT_DEATH(run_overrun(Overrun::device_memory, 1), "heap-buffer-overflow");
  EXPECT_DEATH(run_overrun(Overrun::misaligned, 1), "misaligned");
}

TEST(Fault, TheSameKernelsWithinBoundsRun) {
  for (const Overrun overrun : {Overrun::static_shared, Overrun::dynamic_shared,
                                Overrun::device_memory, Overrun::misaligned}) {
    run_overrun(overrun, 0);
  }
}

__global__ void large_static_kernel() {
  MSD_SHARED(char, large, (48 << 10) + 1);
  large[0] = 1;
}
__global__ void take_kernel(std::size_t bytes, bool disagree) {
  cuda::SharedPieces pieces;
  pieces.take<char>(disagree ? bytes - threadIdx.x : bytes);
}

TEST(Fault, SharedMemoryHasLimits) {
  start(Order::forward, 1);
  launch(nullptr, 1, 32, 0, large_static_kernel);
  EXPECT_NE(failure().find("large at "), std::string::npos) << failure();
  start(Order::forward, 1);
  launch(nullptr, 1, 32, 128, take_kernel, std::size_t{129}, false);
  EXPECT_NE(failure().find("the launch asked for 128"), std::string::npos) << failure();
  start(Order::forward, 1);
  launch(nullptr, 1, 32, 128, take_kernel, std::size_t{128}, true);
  EXPECT_NE(failure().find("disagree"), std::string::npos) << failure();
  reset();
}

TEST(Fault, BadLaunchesAreRefused) {
  start(Order::forward, 1);
  const auto refused = [](dim3 grid, dim3 block, std::size_t dynamic_bytes) {
    try {
      launch(nullptr, grid, block, dynamic_bytes, take_kernel, std::size_t{1}, false);
    } catch (const CudaError& error) {
      const std::string text = error.what();
      return text.find("cudaErrorInvalidConfiguration") != std::string::npos &&
             text.find("fault_test.cpp:") != std::string::npos;
    }
    return false;
  };
  EXPECT_TRUE(refused(0, 32, 0));
  EXPECT_TRUE(refused(dim3(1, 65536), 32, 0));
  EXPECT_TRUE(refused(1, 0, 0));
  EXPECT_TRUE(refused(1, 1025, 0));
  EXPECT_TRUE(refused(1, dim3(1, 1, 65), 0));
  EXPECT_TRUE(refused(1, 32, (48 << 10) + 1));
  EXPECT_EQ(cudaGetLastError(), cudaSuccess) << "reported once";
  cuda::allow_dynamic_shared(take_kernel, 227 << 10);
  EXPECT_FALSE(refused(1, 32, 227 << 10));
  EXPECT_EQ(failure(), "");
  EXPECT_THROW(cuda::allow_dynamic_shared(take_kernel, (227 << 10) + 1), CudaError);
}

}  // namespace
}  // namespace msd::emulation::test
