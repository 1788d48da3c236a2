// SPDX-License-Identifier: MIT
#include "models/exits/host_exit_counter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "engine/random.h"

namespace msd {
namespace {

using Logits = std::vector<std::vector<std::vector<double>>>;  // [exit][sample][class]

std::vector<double> softmax(const std::vector<double>& logits) {
  std::vector<double> p;
  double sum = 0.0;
  for (const double z : logits) sum += std::exp(z);
  for (const double z : logits) p.push_back(std::exp(z) / sum);
  return p;
}

/// Classes by falling value, ties by rising index.
std::vector<std::int32_t> ranking(const std::vector<double>& values) {
  std::vector<std::int32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    return values[static_cast<std::size_t>(a)] > values[static_cast<std::size_t>(b)];
  });
  return order;
}

bool among_five(const std::vector<std::int32_t>& order, std::int32_t label) {
  const auto end = order.begin() + std::min<std::ptrdiff_t>(5, std::ssize(order));
  return std::find(order.begin(), end, label) != end;
}

Logits random_logits(std::int64_t exits, std::int64_t samples, std::int64_t classes,
                     std::uint64_t seed) {
  RandomStream random(seed, RandomPurpose::test);
  Logits logits(static_cast<std::size_t>(exits));
  for (auto& exit : logits) {
    exit.resize(static_cast<std::size_t>(samples));
    for (auto& sample : exit) {
      for (std::int64_t c = 0; c < classes; ++c) sample.push_back(random.uniform(-3.0, 3.0));
    }
  }
  return logits;
}

class HostExitCounterTest : public testing::TestWithParam<DType> {
 protected:
  /// Feeds samples [first, first + n) of every exit.
  void feed(HostExitCounter& counter, const Logits& logits, const std::vector<std::int32_t>& labels,
            std::int64_t first, std::int64_t n, ExitCounts& counts, ExitRecords* records) {
    counter.begin(labels.data() + first, n);
    for (const auto& exit : logits) {
      const auto classes = static_cast<std::int64_t>(exit[0].size());
      const Tensor t = Tensor::activation(runtime_.allocator(), n, 1, 1, classes, GetParam());
      for (std::int64_t s = 0; s < n; ++s) {
        for (std::int64_t c = 0; c < classes; ++c) {
          const double z = exit[static_cast<std::size_t>(first + s)][static_cast<std::size_t>(c)];
          const std::int64_t at = s * t.view().pitch + c;
          if (GetParam() == DType::f64) {
            t.view().as<double>()[at] = z;
          } else {
            t.view().as<float>()[at] = static_cast<float>(z);
          }
        }
      }
      counter.add(t.view(), counts, records);
    }
  }

  // Values of softmax in float: a few roundings of 6e-8.
  double tolerance() const { return GetParam() == DType::f64 ? 1e-7 : 1e-6; }
  Runtime runtime_;
};

INSTANTIATE_TEST_SUITE_P(Types, HostExitCounterTest, testing::Values(DType::f32, DType::f64),
                         [](const auto& test) { return std::string(name(test.param)); });

TEST_P(HostExitCounterTest, RecordsAndCountsAsANaiveReading) {
  for (const std::int64_t classes : {2, 4, 5, 6, 17}) {
    SCOPED_TRACE(classes);
    const std::int64_t exits = 3, samples = 23;
    const Logits logits =
        random_logits(exits, samples, classes, static_cast<std::uint64_t>(classes));
    std::vector<std::int32_t> labels;
    for (std::int64_t s = 0; s < samples; ++s) {
      labels.push_back(static_cast<std::int32_t>(s * 7 % classes));
    }
    HostExitCounter counter(runtime_, exits, classes, 8, GetParam());
    ExitCounts counts(exits);
    ExitRecords records;
    for (std::int64_t first = 0; first < samples; first += 8) {
      feed(counter, logits, labels, first, std::min<std::int64_t>(8, samples - first), counts,
           &records);
    }
    ASSERT_EQ(records.samples(), samples);
    EXPECT_EQ(records.exits, exits);
    EXPECT_EQ(records.labels, labels);
    EXPECT_EQ(counts.samples, samples);
    ExitCounts expected(exits);
    for (std::int64_t s = 0; s < samples; ++s) {
      const std::int32_t label = labels[static_cast<std::size_t>(s)];
      std::vector<double> sum(static_cast<std::size_t>(classes), 0.0);
      for (std::int64_t k = 0; k < exits; ++k) {
        const auto exit = static_cast<std::size_t>(k);
        const std::vector<double> p = softmax(logits[exit][static_cast<std::size_t>(s)]);
        for (std::size_t c = 0; c < p.size(); ++c) sum[c] += p[c];
        const auto order = ranking(p), ensemble = ranking(sum);
        const std::size_t at = records.at(s, k);
        EXPECT_NEAR(static_cast<double>(records.confidence[at]),
                    p[static_cast<std::size_t>(order[0])], tolerance());
        EXPECT_EQ(records.prediction[at], order[0]);
        EXPECT_EQ(records.top5[at], among_five(order, label));
        EXPECT_EQ(records.ensemble_prediction[at], ensemble[0]);
        EXPECT_EQ(records.ensemble_top5[at], among_five(ensemble, label));
        expected.loss_sum[exit] -= std::log(p[static_cast<std::size_t>(label)]);
        expected.top1[exit] += order[0] == label;
        expected.top5[exit] += among_five(order, label);
        expected.ensemble_top1[exit] += ensemble[0] == label;
        expected.ensemble_top5[exit] += among_five(ensemble, label);
      }
    }
    EXPECT_EQ(counts.top1, expected.top1);
    EXPECT_EQ(counts.top5, expected.top5);
    EXPECT_EQ(counts.ensemble_top1, expected.ensemble_top1);
    EXPECT_EQ(counts.ensemble_top5, expected.ensemble_top5);
    for (std::size_t k = 0; k < 3; ++k) {
      EXPECT_NEAR(counts.loss_sum[k], expected.loss_sum[k], 23 * 2e-6);
    }
  }
}

TEST_P(HostExitCounterTest, CountsWithoutRecords) {
  const Logits logits = random_logits(2, 4, 3, 1);
  HostExitCounter counter(runtime_, 2, 3, 4, GetParam());
  ExitCounts counts(2);
  feed(counter, logits, {0, 1, 2, 0}, 0, 4, counts, nullptr);
  EXPECT_EQ(counts.samples, 4);
}

TEST_P(HostExitCounterTest, LogitsFarApartKeepTheLossFinite) {
  // The label's probability underflows; a real loss of thousands, not infinity.
  HostExitCounter counter(runtime_, 1, 2, 1, GetParam());
  ExitCounts counts(1);
  feed(counter, {{{2000.0, -2000.0}}}, {1}, 0, 1, counts, nullptr);
  EXPECT_TRUE(std::isfinite(counts.loss_sum[0]));
  EXPECT_GT(counts.loss_sum[0], 80.0);
  EXPECT_EQ(counts.top1[0], 0);
}

TEST_P(HostExitCounterTest, OrderAndShapesAreChecked) {
  HostExitCounter counter(runtime_, 2, 3, 4, GetParam());
  ExitCounts counts(2);
  const std::vector<std::int32_t> labels(5, 0);
  EXPECT_THROW(counter.begin(labels.data(), 5), ShapeError);
  const auto add = [&](std::int64_t n, std::int64_t classes) {
    const Tensor t = Tensor::activation(runtime_.allocator(), n, 1, 1, classes, GetParam());
    const FillArgs zero = {t.view(), 0.0};
    fill(runtime_.context(), {&zero, 1});
    counter.add(t.view(), counts, nullptr);
  };
  counter.begin(labels.data(), 2);
  EXPECT_THROW(add(3, 3), ShapeError);
  EXPECT_THROW(add(2, 4), ShapeError);
  add(2, 3);
  add(2, 3);
  EXPECT_THROW(add(2, 3), ShapeError);  // a third exit of two
}

}  // namespace
}  // namespace msd
