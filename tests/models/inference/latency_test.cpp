// SPDX-License-Identifier: MIT
#include "models/inference/latency.h"

#include <gtest/gtest.h>

namespace msd::test {
namespace {

TEST(Quantile, IsAValueOfTheSample) {
  EXPECT_EQ(quantile({}, 0.5), 0.0);
  EXPECT_EQ(quantile({3.0}, 0.95), 3.0);
  EXPECT_EQ(quantile({4.0, 1.0, 3.0, 2.0}, 0.5), 2.0);
  EXPECT_EQ(quantile({5.0, 4.0, 1.0, 3.0, 2.0}, 0.5), 3.0);
  std::vector<double> hundred;
  for (int i = 100; i > 0; --i) hundred.push_back(i);
  EXPECT_EQ(quantile(hundred, 0.95), 95.0);
  EXPECT_EQ(quantile(hundred, 1.0), 100.0);
}

TEST(StageTimes, ExpectTheMedianOfTheLastRuns) {
  StageTimes times(2);
  EXPECT_EQ(times.expected(0), 0.0);
  for (int i = 0; i < 101; ++i) times.add(0, 5.0);
  times.add(1, 7.0);
  EXPECT_EQ(times.expected(0), 5.0);
  EXPECT_EQ(times.expected(1), 7.0);
  for (int i = 0; i < 50; ++i) times.add(0, 9.0);
  EXPECT_EQ(times.expected(0), 5.0);
  times.add(0, 9.0);
  EXPECT_EQ(times.expected(0), 9.0);
}

}  // namespace
}  // namespace msd::test
