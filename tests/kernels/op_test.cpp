// SPDX-License-Identifier: MIT
#include <cctype>

#include "tests/kernels/backend.h"
#include "tests/kernels/op_harness.h"

namespace msd::test {

std::string suite_of(std::string_view op) {
  std::string suite;
  bool start = true;
  for (const char letter : op) {
    if (letter == '_') {
      start = true;
      continue;
    }
    suite += start ? static_cast<char>(std::toupper(static_cast<unsigned char>(letter))) : letter;
    start = false;
  }
  return suite;
}

void OpTest::SetUp() {
  const std::string suite =
      testing::UnitTest::GetInstance()->current_test_info()->test_suite_name();
  for (const std::string_view op : op_names()) {
    if (suite.rfind(suite_of(op), 0) != 0) continue;
    const std::string reason = backend::why_not(op);
    if (reason.empty()) return;
    if (backend::must_run()) FAIL() << op << ": " << reason << ", and MSD_REQUIRE_GPU=1";
    GTEST_SKIP() << op << ": " << reason;
  }
  FAIL() << suite << " is not named after an op";
}

}  // namespace msd::test
