// SPDX-License-Identifier: MIT
// The op list against the tests and the backends: what nobody has to remember to do.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "kernels/cuda/device/context.h"
#include "kernels/cuda/device/ops.h"
#include "kernels/error.h"
#include "kernels/ops.h"
#include "tests/kernels/op_harness.h"

namespace msd::test {
namespace {

/// Whether a name such as "Suite", "Suite/0" (typed) or "Prefix/Suite" (parameterized) has `part`.
bool has_part(const std::string& name, const std::string& part) {
  return ("/" + name + "/").find("/" + part + "/") != std::string::npos;
}

bool has_tests(const std::string& suite) {
  const testing::UnitTest& tests = *testing::UnitTest::GetInstance();
  for (int i = 0; i < tests.total_test_suite_count(); ++i) {
    const testing::TestSuite& found = *tests.GetTestSuite(i);
    if (has_part(found.name(), suite) && found.total_test_count() > 0) return true;
  }
  return false;
}

TEST(OpList, EveryOpHasATestSuite) {
  EXPECT_EQ(suite_of("max_pool_forward"), "MaxPoolForward");
  EXPECT_TRUE(has_part("Net/Sgd/1", "Sgd"));
  EXPECT_FALSE(has_part("SgdMore", "Sgd"));
  EXPECT_FALSE(has_tests("NoSuchOp"));
  for (const std::string_view op : op_names()) {
    EXPECT_TRUE(has_tests(suite_of(op)))
        << op << " has no tests: write a suite " << suite_of(op) << " in tests/kernels";
  }
}

TEST(OpList, NamesAreDistinct) {
  std::vector<std::string_view> names = op_names();
  EXPECT_FALSE(names.empty());
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
}

TEST(OpList, OpsMissingOnCudaThrowTheirName) {
  ExecutionContext context;
  cuda::Context cuda_context;
  context.device = DeviceType::cuda;
  context.cuda = &cuda_context;
  const std::vector<std::string_view> missing = cuda::missing_ops();
  const auto check = [&](std::string_view name, auto&& call) {
    if (std::find(missing.begin(), missing.end(), name) == missing.end()) return;
    try {
      call();
      ADD_FAILURE() << name << " is listed as missing on CUDA but did not throw";
    } catch (const ConfigError& error) {
      EXPECT_EQ(std::string(error.what()).rfind(std::string(name) + ":", 0), 0u) << error.what();
    }
  };
#define MSD_OP(name, Args, cuda_state) \
  check(#name, [&] { name(context, std::span<const Args>()); });
#include "kernels/op_list.inc"
#undef MSD_OP
}

TEST(OpList, StartUpNamesTheMissingOps) {
  EXPECT_NO_THROW(require_all_ops(DeviceType::cpu));
  const std::vector<std::string_view> missing = cuda::missing_ops();
  if (missing.empty()) {
    EXPECT_NO_THROW(require_all_ops(DeviceType::cuda));
    return;
  }
  try {
    require_all_ops(DeviceType::cuda);
    FAIL() << "ops are missing on CUDA and nobody said so";
  } catch (const ConfigError& error) {
    const std::string text = error.what();
    for (const std::string_view op : missing) {
      EXPECT_NE(text.find(op), std::string::npos) << op << " is not in: " << text;
    }
  }
}

}  // namespace
}  // namespace msd::test
