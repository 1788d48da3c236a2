// SPDX-License-Identifier: MIT
// The main of tests that need a GPU: without one all are skipped, or fail where MSD_REQUIRE_GPU=1.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "kernels/cuda/device/device.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (GTEST_FLAG_GET(list_tests) || !msd::cuda::devices().empty()) return RUN_ALL_TESTS();
  const char* required = std::getenv("MSD_REQUIRE_GPU");
  if (required != nullptr && std::string_view(required) == "1") {
    std::puts("[  FAILED  ] MSD_REQUIRE_GPU=1, but the driver shows no GPU");
    return 1;
  }
  std::printf("[  SKIPPED ] no GPU: %d tests\n",
              testing::UnitTest::GetInstance()->total_test_count());
  return 0;
}
