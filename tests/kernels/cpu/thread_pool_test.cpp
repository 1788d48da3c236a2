// SPDX-License-Identifier: MIT
#include "kernels/cpu/device/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <numeric>
#include <vector>

#include "kernels/error.h"

namespace msd::cpu {
namespace {

TEST(ThreadPool, RunsEveryIndexOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.size(), threads);
    for (const std::int64_t count : {1, 2, 3, 7, 1000}) {
      std::vector<std::atomic<int>> calls(static_cast<std::size_t>(count));
      std::atomic<int> wrong_workers{0};
      pool.parallel_for(count, [&](std::int64_t index, int worker) {
        ++calls[static_cast<std::size_t>(index)];
        wrong_workers += worker < 0 || worker >= threads;
      });
      for (const auto& call : calls) EXPECT_EQ(call.load(), 1) << threads << ", " << count;
      EXPECT_EQ(wrong_workers.load(), 0);
    }
  }
}

TEST(ThreadPool, RunsNothingForAnEmptyLoop) {
  ThreadPool pool(3);
  int calls = 0;
  pool.parallel_for(0, [&](std::int64_t, int) { ++calls; });
  pool.parallel_for(-5, [&](std::int64_t, int) { ++calls; });
  EXPECT_EQ(calls, 0);
}

TEST(ThreadPool, RunsManySmallLoopsInTurn) {
  ThreadPool pool(3);
  std::vector<std::int64_t> value(5);  // plain: a loop must have ended when the next one begins
  for (std::int64_t round = 0; round < 2000; ++round) {
    pool.parallel_for(5, [&](std::int64_t index, int) {
      const auto at = static_cast<std::size_t>(index);
      value[at] = value[at] == round ? round + 1 : -1;
    });
  }
  EXPECT_EQ(value, std::vector<std::int64_t>(5, 2000));
}

TEST(ThreadPool, CallerSeesWhatTheLoopWrote) {
  ThreadPool pool(2);
  std::vector<std::int64_t> squares(10007);
  pool.parallel_for(10007, [&](std::int64_t index, int) {
    squares[static_cast<std::size_t>(index)] = index * index;
  });
  for (std::size_t i = 0; i < squares.size(); ++i) {
    ASSERT_EQ(squares[i], static_cast<std::int64_t>(i * i));
  }
}

TEST(ThreadPool, ScratchIsAlignedAndApart) {
  ThreadPool pool(4);
  constexpr auto kBytes = static_cast<std::size_t>(ThreadPool::kScratchBytes);
  for (int worker = 0; worker < pool.size(); ++worker) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(pool.scratch(worker)) % 64, 0u);
    std::memset(pool.scratch(worker), worker + 1, kBytes);
  }
  for (int worker = 0; worker < pool.size(); ++worker) {
    const auto* bytes = pool.scratch(worker);
    for (const std::size_t at : {std::size_t{0}, kBytes / 2, kBytes - 1}) {
      EXPECT_EQ(std::to_integer<int>(bytes[at]), worker + 1);
    }
  }
}

TEST(ThreadPool, AWorkersScratchIsItsOwn) {
  ThreadPool pool(3);
  std::atomic<int> clashes{0};
  pool.parallel_for(3000, [&](std::int64_t index, int worker) {
    auto* slot = reinterpret_cast<std::int64_t*>(pool.scratch(worker));
    *slot = index;  // a data race, which TSan reports, if two threads had one worker's number
    clashes += *slot != index;
  });
  EXPECT_EQ(clashes.load(), 0);
}

TEST(ThreadPool, RefusesSillySizes) {
  EXPECT_THROW(ThreadPool(0), ConfigError);
  EXPECT_THROW(ThreadPool(-1), ConfigError);
  EXPECT_THROW(ThreadPool(5000), ConfigError);
}

TEST(ThreadPool, StartsAndStopsWithoutWork) {
  for (int i = 0; i < 50; ++i) ThreadPool pool(3);
}

}  // namespace
}  // namespace msd::cpu
