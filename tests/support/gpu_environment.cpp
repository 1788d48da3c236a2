// SPDX-License-Identifier: MIT
// Linked into tests that need a GPU: without one they are skipped, or fail where MSD_REQUIRE_GPU=1.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string_view>

#include "kernels/cuda/device.h"

namespace msd::test {
namespace {

class GpuEnvironment : public testing::Environment {
  void SetUp() override {
    if (!cuda::devices().empty()) return;
    const char* required = std::getenv("MSD_REQUIRE_GPU");
    if (required != nullptr && std::string_view(required) == "1") {
      FAIL() << "MSD_REQUIRE_GPU=1, but the driver shows no GPU";
    }
    GTEST_SKIP() << "no GPU";
  }
};

const testing::Environment* const environment =
    testing::AddGlobalTestEnvironment(new GpuEnvironment);

}  // namespace
}  // namespace msd::test
