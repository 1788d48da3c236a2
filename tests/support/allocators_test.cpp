// SPDX-License-Identifier: MIT
#include "tests/support/allocators.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "kernels/error.h"
#include "tests/support/errors.h"

namespace msd::test {
namespace {

/// Fails on request, and knows what it was asked for.
class FakeAllocator : public AllocatorAdaptor {
 public:
  FakeAllocator() : AllocatorAdaptor(host_allocator()) {}
  void* allocate(std::int64_t bytes) override {
    if (fail) throw OutOfMemory("fake");
    allocated.push_back(bytes);
    return AllocatorAdaptor::allocate(bytes);
  }
  void deallocate(void* memory, std::int64_t bytes) noexcept override {
    deallocated.push_back(bytes);
    AllocatorAdaptor::deallocate(memory, bytes);
  }
  bool fail = false;
  std::vector<std::int64_t> allocated, deallocated;
};

TEST(StatisticsAllocator, CountsAllocationsAndBytes) {
  FakeAllocator fake;
  StatisticsAllocator statistics(fake);
  void* a = statistics.allocate(100);
  void* b = statistics.allocate(28);
  EXPECT_EQ(statistics.allocations(), 2);
  EXPECT_EQ(statistics.current_bytes(), 128);
  EXPECT_EQ(statistics.peak_bytes(), 128);
  statistics.deallocate(a, 100);
  EXPECT_EQ(statistics.current_bytes(), 28);
  void* c = statistics.allocate(50);
  EXPECT_EQ(statistics.allocations(), 3);
  EXPECT_EQ(statistics.current_bytes(), 78);
  EXPECT_EQ(statistics.peak_bytes(), 128);
  statistics.deallocate(b, 28);
  statistics.deallocate(c, 50);
  EXPECT_EQ(statistics.current_bytes(), 0);
  EXPECT_EQ(fake.allocated, (std::vector<std::int64_t>{100, 28, 50}));
  EXPECT_EQ(fake.deallocated, (std::vector<std::int64_t>{100, 28, 50}));
}

TEST(StatisticsAllocator, AFailedAllocationDoesNotCount) {
  FakeAllocator fake;
  StatisticsAllocator statistics(fake);
  fake.fail = true;
  EXPECT_THROW(statistics.allocate(10), OutOfMemory);
  EXPECT_EQ(statistics.allocations(), 0);
  EXPECT_EQ(statistics.current_bytes(), 0);
  EXPECT_EQ(statistics.peak_bytes(), 0);
}

TEST(LimitAllocator, LimitsWhatIsInUseAtOnce) {
  SystemAllocator system;
  LimitAllocator limit(system, 100);
  void* a = limit.allocate(60);
  void* b = limit.allocate(40);  // exactly the limit
  EXPECT_TRUE(throws<OutOfMemory>([&] { limit.allocate(1); }, {"100", "1"}));
  limit.deallocate(b, 40);
  EXPECT_TRUE(throws<OutOfMemory>([&] { limit.allocate(41); }, {"100", "60", "41"}));
  void* c = limit.allocate(40);  // the refusals changed nothing
  limit.deallocate(a, 60);
  limit.deallocate(c, 40);
  limit.deallocate(limit.allocate(100), 100);
}

TEST(LimitAllocator, AFailureUpstreamDoesNotCount) {
  FakeAllocator fake;
  LimitAllocator limit(fake, 100);
  fake.fail = true;
  EXPECT_THROW(limit.allocate(90), OutOfMemory);
  fake.fail = false;
  limit.deallocate(limit.allocate(100), 100);
}

TEST(PoisonAllocator, HandsOutNaNs) {
  FakeAllocator fake;
  PoisonAllocator poison(fake);
  for (const std::int64_t bytes : {8, 12, 64, 1000}) {
    void* memory = poison.allocate(bytes);
    const auto* data = static_cast<const unsigned char*>(memory);
    for (std::int64_t i = 0; i < bytes; ++i) ASSERT_EQ(data[i], 0xFF) << i << " of " << bytes;
    float f;
    double d;
    std::memcpy(&f, memory, sizeof f);
    std::memcpy(&d, memory, sizeof d);
    EXPECT_TRUE(std::isnan(f) && std::isnan(d));
    poison.deallocate(memory, bytes);
  }
  poison.deallocate(poison.allocate(0), 0);
  EXPECT_EQ(fake.allocated, fake.deallocated);
}

TEST(Allocators, Stack) {
  SystemAllocator system;
  StatisticsAllocator statistics(system);
  LimitAllocator limit(statistics, 64);
  PoisonAllocator poison(limit);
  void* memory = poison.allocate(64);
  EXPECT_THROW(poison.allocate(1), OutOfMemory);
  EXPECT_EQ(statistics.allocations(), 1);
  poison.deallocate(memory, 64);
  EXPECT_EQ(statistics.current_bytes(), 0);
}

}  // namespace
}  // namespace msd::test
