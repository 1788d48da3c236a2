// SPDX-License-Identifier: MIT
#include "models/exits/device_exit_counter.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "engine/random.h"
#include "models/exits/host_exit_counter.h"

namespace msd {
namespace {

constexpr std::int64_t kExits = 3, kClasses = 7, kBatch = 9;

void expect_same(const ExitCounts& a, const ExitCounts& b) {
  EXPECT_EQ(a.samples, b.samples);
  EXPECT_EQ(a.top1, b.top1);
  EXPECT_EQ(a.top5, b.top5);
  EXPECT_EQ(a.ensemble_top1, b.ensemble_top1);
  EXPECT_EQ(a.ensemble_top5, b.ensemble_top5);
  ASSERT_EQ(a.loss_sum.size(), b.loss_sum.size());
  for (std::size_t exit = 0; exit < a.loss_sum.size(); ++exit) {
    EXPECT_NEAR(a.loss_sum[exit], b.loss_sum[exit], 1e-5 * b.loss_sum[exit]);
  }
}

// A HostExitCounter's counts are themselves tested against a naive count.
TEST(DeviceExitCounter, CountsWhatTheHostCounts) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    Runtime runtime(2);
    HostExitCounter host(runtime, kExits, kClasses, kBatch, dtype);
    DeviceExitCounter counter(runtime, kExits, kClasses, kBatch, dtype);
    ExitCounts expected(kExits);
    RandomStream random(3, RandomPurpose::test);
    for (const std::int64_t n : {kBatch, std::int64_t{4}}) {
      std::vector<std::int32_t> labels;
      for (std::int64_t i = 0; i < n; ++i) {
        labels.push_back(static_cast<std::int32_t>(random.below(kClasses)));
      }
      std::vector<Tensor> logits;
      std::vector<ConstView> views;
      host.begin(labels.data(), n);
      for (std::int64_t exit = 0; exit < kExits; ++exit) {
        logits.push_back(Tensor::activation(runtime.allocator(), n, 1, 1, kClasses, dtype));
        views.push_back(logits.back().view());
        for (std::int64_t i = 0; i < n * views[0].pitch; ++i) {
          store_element(logits.back().data(), dtype, i, random.uniform(-3.0, 3.0));
        }
        host.add(views.back(), expected, nullptr);
      }
      const CountExitsArgs args = counter.call(views, labels.data());
      count_exits(runtime.context(), {&args, 1});
      counter.add_samples(n);
      expect_same(counter.counts(), expected);
    }
    DeviceExitCounter other(runtime, kExits, kClasses, kBatch, dtype);
    other.set(counter.counts());
    expect_same(other.counts(), expected);
  }
}

}  // namespace
}  // namespace msd
