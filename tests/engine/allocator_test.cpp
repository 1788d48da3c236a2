// SPDX-License-Identifier: MIT
#include "engine/allocator.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "tests/support/errors.h"

namespace msd {
namespace {

using test::throws;

TEST(SystemAllocator, MemoryIsAlignedAndApart) {
  SystemAllocator allocator;
  std::vector<std::byte*> blocks;
  const std::vector<std::int64_t> sizes = {1, 63, 64, 65, 4097, 1 << 20};
  for (const std::int64_t bytes : sizes) {
    blocks.push_back(static_cast<std::byte*>(allocator.allocate(bytes)));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(blocks.back()) % Allocator::kAlignment, 0u) << bytes;
    std::memset(blocks.back(), static_cast<int>(blocks.size()), static_cast<std::size_t>(bytes));
  }
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const std::vector<std::byte> expected(static_cast<std::size_t>(sizes[i]),
                                          static_cast<std::byte>(i + 1));
    EXPECT_EQ(std::memcmp(blocks[i], expected.data(), expected.size()), 0) << sizes[i];
    allocator.deallocate(blocks[i], sizes[i]);
  }
}

TEST(SystemAllocator, ZeroBytesCanBeTakenAndGivenBack) {
  SystemAllocator allocator;
  allocator.deallocate(allocator.allocate(0), 0);
}

TEST(SystemAllocator, TooMuchIsOutOfMemory) {
  SystemAllocator allocator;
  EXPECT_TRUE(throws<OutOfMemory>([&] { allocator.allocate(std::int64_t{1} << 60); },
                                  {"1152921504606846976"}));
}

}  // namespace
}  // namespace msd
