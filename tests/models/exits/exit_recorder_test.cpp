// SPDX-License-Identifier: MIT
#include "models/exits/exit_recorder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
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

class RecorderTest : public testing::TestWithParam<DType> {
 protected:
  /// Feeds samples [first, first + n) of every exit.
  void feed(ExitRecorder& recorder, const Logits& logits, const std::vector<std::int32_t>& labels,
            std::int64_t first, std::int64_t n, ExitCounts& counts, ExitRecords* records) {
    recorder.begin(labels.data() + first, n);
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
      recorder.add(t.view(), counts, records);
    }
  }

  // Values of softmax in float: a few roundings of 6e-8.
  double tolerance() const { return GetParam() == DType::f64 ? 1e-7 : 1e-6; }
  Runtime runtime_;
};

INSTANTIATE_TEST_SUITE_P(Types, RecorderTest, testing::Values(DType::f32, DType::f64),
                         [](const auto& test) { return std::string(name(test.param)); });

TEST_P(RecorderTest, RecordsAndCountsAsANaiveReading) {
  for (const std::int64_t classes : {2, 4, 5, 6, 17}) {
    SCOPED_TRACE(classes);
    const std::int64_t exits = 3, samples = 23;
    const Logits logits =
        random_logits(exits, samples, classes, static_cast<std::uint64_t>(classes));
    std::vector<std::int32_t> labels;
    for (std::int64_t s = 0; s < samples; ++s) {
      labels.push_back(static_cast<std::int32_t>(s * 7 % classes));
    }
    ExitRecorder recorder(runtime_, exits, classes, 8, GetParam());
    ExitCounts counts(exits);
    ExitRecords records;
    for (std::int64_t first = 0; first < samples; first += 8) {
      feed(recorder, logits, labels, first, std::min<std::int64_t>(8, samples - first), counts,
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

TEST_P(RecorderTest, CountsWithoutRecords) {
  const Logits logits = random_logits(2, 4, 3, 1);
  ExitRecorder recorder(runtime_, 2, 3, 4, GetParam());
  ExitCounts counts(2);
  feed(recorder, logits, {0, 1, 2, 0}, 0, 4, counts, nullptr);
  EXPECT_EQ(counts.samples, 4);
}

TEST_P(RecorderTest, LogitsFarApartKeepTheLossFinite) {
  // The label's probability underflows; a real loss of thousands, not infinity.
  ExitRecorder recorder(runtime_, 1, 2, 1, GetParam());
  ExitCounts counts(1);
  feed(recorder, {{{2000.0, -2000.0}}}, {1}, 0, 1, counts, nullptr);
  EXPECT_TRUE(std::isfinite(counts.loss_sum[0]));
  EXPECT_GT(counts.loss_sum[0], 80.0);
  EXPECT_EQ(counts.top1[0], 0);
}

TEST_P(RecorderTest, OrderAndShapesAreChecked) {
  ExitRecorder recorder(runtime_, 2, 3, 4, GetParam());
  ExitCounts counts(2);
  const std::vector<std::int32_t> labels(5, 0);
  EXPECT_THROW(recorder.begin(labels.data(), 5), ShapeError);
  const auto add = [&](std::int64_t n, std::int64_t classes) {
    const Tensor t = Tensor::activation(runtime_.allocator(), n, 1, 1, classes, GetParam());
    const FillArgs zero = {t.view(), 0.0};
    fill(runtime_.context(), {&zero, 1});
    recorder.add(t.view(), counts, nullptr);
  };
  recorder.begin(labels.data(), 2);
  EXPECT_THROW(add(3, 3), ShapeError);
  EXPECT_THROW(add(2, 4), ShapeError);
  add(2, 3);
  add(2, 3);
  EXPECT_THROW(add(2, 3), ShapeError);  // a third exit of two
}

TEST(ExitCounts, AverageAndAccuracy) {
  ExitCounts counts(2);
  counts.samples = 8;
  counts.loss_sum = {4.0, 2.0};
  counts.top1 = {2, 4};
  counts.top5 = {6, 8};
  counts.ensemble_top1 = {2, 5};
  counts.ensemble_top5 = {6, 7};
  EXPECT_EQ(counts.mean_losses(), (std::vector<double>{0.5, 0.25}));
  const AnytimeAccuracy a = counts.accuracy();
  EXPECT_EQ(a.top1, (std::vector<double>{0.25, 0.5}));
  EXPECT_EQ(a.top5, (std::vector<double>{0.75, 1.0}));
  EXPECT_EQ(a.ensemble_top1, (std::vector<double>{0.25, 0.625}));
  EXPECT_EQ(a.ensemble_top5, (std::vector<double>{0.75, 0.875}));
  const ExitCounts none(2);
  EXPECT_EQ(none.mean_losses(), (std::vector<double>{0.0, 0.0}));
  EXPECT_EQ(none.accuracy().top1, (std::vector<double>{0.0, 0.0}));
}

TEST(ExitCounts, RoundTripThroughJson) {
  ExitCounts counts(2);
  counts.samples = 1234567890123;
  counts.loss_sum = {0.1 + 0.2, 1e-300};
  counts.top1 = {1, 2};
  counts.top5 = {3, 4};
  counts.ensemble_top1 = {5, 6};
  counts.ensemble_top5 = {7, 8};
  const std::string text = nlohmann::json(counts).dump();
  const auto back = nlohmann::json::parse(text).get<ExitCounts>();
  EXPECT_EQ(back.samples, counts.samples);
  EXPECT_EQ(back.loss_sum, counts.loss_sum);
  EXPECT_EQ(back.top1, counts.top1);
  EXPECT_EQ(back.top5, counts.top5);
  EXPECT_EQ(back.ensemble_top1, counts.ensemble_top1);
  EXPECT_EQ(back.ensemble_top5, counts.ensemble_top5);
}

TEST(Largest, FallingTiesByRisingIndex) {
  const auto of = [](const std::vector<double>& values, std::int64_t count) {
    std::vector<std::int32_t> out(static_cast<std::size_t>(count), -7);
    largest(values.data(), static_cast<std::int64_t>(values.size()), count, out.data());
    return out;
  };
  using Indices = std::vector<std::int32_t>;
  EXPECT_EQ(of({1, 3, 2}, 2), (Indices{1, 2}));
  EXPECT_EQ(of({2, 2, 2, 2}, 3), (Indices{0, 1, 2}));
  EXPECT_EQ(of({1, 5, 5, 0, 5}, 4), (Indices{1, 2, 4, 0}));
  EXPECT_EQ(of({1, 2}, 5), (Indices{1, 0, -1, -1, -1}));
  EXPECT_EQ(of({}, 2), (Indices{-1, -1}));
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    RandomStream random(seed, RandomPurpose::test);
    std::vector<double> values(static_cast<std::size_t>(1 + random.below(20)));
    for (double& v : values) v = static_cast<double>(random.below(8));
    auto expected = ranking(values);
    expected.resize(5, -1);
    EXPECT_EQ(of(values, 5), expected) << "seed " << seed;
  }
}

}  // namespace
}  // namespace msd
