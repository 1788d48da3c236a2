// SPDX-License-Identifier: MIT
#include "models/exits/threshold_fitting.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "engine/random.h"
#include "kernels/error.h"

namespace msd {
namespace {

constexpr float kNobody = std::numeric_limits<float>::infinity();

/// Records of given confidences, [sample][exit]; every prediction is class 1, every label `labels`.
ExitRecords make_records(std::int64_t exits, const std::vector<float>& confidence,
                         const std::vector<std::int32_t>& labels) {
  ExitRecords r;
  r.exits = exits;
  r.labels = labels;
  r.confidence = confidence;
  r.prediction.assign(confidence.size(), 1);
  r.top5.assign(confidence.size(), 0);
  r.ensemble_prediction = r.prediction;
  r.ensemble_top5 = r.top5;
  return r;
}

/// Confidences from `levels` values, so that few levels mean many ties.
ExitRecords random_records(RandomStream& random, std::int64_t samples, std::int64_t exits,
                           std::int64_t levels) {
  std::vector<float> confidence;
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < samples * exits; ++i) {
    confidence.push_back(static_cast<float>(1 + random.below(levels)) / static_cast<float>(levels));
  }
  for (std::int64_t i = 0; i < samples; ++i) {
    labels.push_back(static_cast<std::int32_t>(random.below(3)));
  }
  ExitRecords r = make_records(exits, confidence, labels);
  for (std::int32_t& p : r.prediction) p = static_cast<std::int32_t>(random.below(3));
  return r;
}

/// DESIGN, section 2, word for word: who leaves where, and from which confidence.
struct Naive {
  Thresholds thresholds;
  std::vector<std::int64_t> leaves;  // a sample's exit
};

Naive naive_fit(const ExitRecords& r, const std::vector<double>& shares) {
  Naive naive;
  const std::int64_t samples = r.samples();
  naive.leaves.assign(static_cast<std::size_t>(samples), -1);
  for (std::int64_t k = 0; k < r.exits; ++k) {
    std::vector<std::pair<float, std::int64_t>> there;  // by falling confidence
    for (std::int64_t i = 0; i < samples; ++i) {
      if (naive.leaves[static_cast<std::size_t>(i)] < 0) {
        there.emplace_back(-r.confidence[r.at(i, k)], i);
      }
    }
    std::sort(there.begin(), there.end());
    auto quota = static_cast<std::size_t>(
        std::floor(static_cast<double>(samples) * shares[static_cast<std::size_t>(k)]));
    if (k == r.exits - 1) {
      for (const auto& [confidence, i] : there) naive.leaves[static_cast<std::size_t>(i)] = k;
      naive.thresholds.push_back(0.0f);
      continue;
    }
    quota = std::min(quota, there.size());
    naive.thresholds.push_back(quota == 0 ? kNobody : -there[quota - 1].first);
    for (const auto& [confidence, i] : there) {
      if (-confidence >= naive.thresholds.back()) naive.leaves[static_cast<std::size_t>(i)] = k;
    }
  }
  return naive;
}

void expect_as_naive(const ExitRecords& r, const std::vector<double>& shares) {
  const Naive naive = naive_fit(r, shares);
  const Thresholds thresholds = fit_thresholds(r, shares);
  EXPECT_EQ(thresholds, naive.thresholds);
  std::vector<std::int64_t> costs;
  for (std::int64_t k = 0; k < r.exits; ++k) costs.push_back(100 * (k + 1) * (k + 1));
  double correct = 0, cost = 0;
  std::vector<double> left(static_cast<std::size_t>(r.exits), 0.0);
  for (std::int64_t i = 0; i < r.samples(); ++i) {
    const std::int64_t exit = naive.leaves[static_cast<std::size_t>(i)];
    EXPECT_EQ(leaving_exit(r, i, thresholds), exit) << "sample " << i;
    correct += r.prediction[r.at(i, exit)] == r.labels[static_cast<std::size_t>(i)];
    cost += static_cast<double>(costs[static_cast<std::size_t>(exit)]);
    left[static_cast<std::size_t>(exit)] += 1;
  }
  const BudgetResult result = simulate_exits(r, thresholds, costs);
  const auto samples = static_cast<double>(r.samples());
  EXPECT_DOUBLE_EQ(result.accuracy, correct / samples);
  EXPECT_DOUBLE_EQ(result.mean_cost, cost / samples);
  ASSERT_EQ(result.shares.size(), left.size());
  for (std::size_t k = 0; k < left.size(); ++k) {
    EXPECT_DOUBLE_EQ(result.shares[k], left[k] / samples);
  }
  EXPECT_NEAR(std::accumulate(result.shares.begin(), result.shares.end(), 0.0), 1.0, 1e-12);
}

TEST(ExitShares, AreProportionalToPowersAndSumToOne) {
  for (const double p : budget_points()) {
    for (const std::int64_t exits : {1, 2, 5, 10}) {
      const std::vector<double> shares = exit_shares(p, exits);
      ASSERT_EQ(static_cast<std::int64_t>(shares.size()), exits);
      // Rounding of a few additions, divisions and powers.
      EXPECT_NEAR(std::accumulate(shares.begin(), shares.end(), 0.0), 1.0, 1e-14);
      for (std::size_t k = 1; k < shares.size(); ++k) {
        EXPECT_NEAR(shares[k] / shares[k - 1], p, 1e-13);
      }
    }
  }
}

TEST(ExitShares, KnownOnes) {
  EXPECT_EQ(exit_shares(1.0, 4), (std::vector<double>{0.25, 0.25, 0.25, 0.25}));
  const std::vector<double> half = exit_shares(0.5, 3);  // 4 : 2 : 1
  EXPECT_DOUBLE_EQ(half[0], 4.0 / 7);
  EXPECT_DOUBLE_EQ(half[1], 2.0 / 7);
  EXPECT_DOUBLE_EQ(half[2], 1.0 / 7);
}

TEST(ExitShares, RefuseNonsense) {
  for (const double p : {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    EXPECT_THROW(exit_shares(p, 3), ShapeError) << p;
  }
  EXPECT_THROW(exit_shares(1.0, 0), ShapeError);
}

TEST(BudgetPoints, AreThirtyNineStepsOfFiveHundredths) {
  const std::vector<double> points = budget_points();
  ASSERT_EQ(points.size(), 39u);
  for (std::size_t i = 0; i < points.size(); ++i) {
    EXPECT_DOUBLE_EQ(points[i], 0.05 * static_cast<double>(i + 1));
  }
  EXPECT_EQ(points[19], 1.0);  // the balanced budget, exactly
}

TEST(FitThresholds, AnExampleByHand) {
  // Ten samples, three exits, shares .3 .4 .3: the three most confident leave at exit 1, then four
  // of the seven left at exit 2.
  const ExitRecords r =
      make_records(3, {0.9f,  0.1f,  0.2f, 0.8f, 0.1f,  0.2f, 0.7f, 0.1f, 0.2f,  0.6f,
                       0.95f, 0.2f,  0.5f, 0.9f, 0.2f,  0.4f, 0.8f, 0.2f, 0.3f,  0.7f,
                       0.2f,  0.25f, 0.6f, 0.2f, 0.15f, 0.5f, 0.2f, 0.1f, 0.99f, 0.2f},
                   {1, 0, 1, 1, 0, 0, 1, 1, 1, 1});
  const Thresholds thresholds = fit_thresholds(r, {0.3, 0.4, 0.3});
  EXPECT_EQ(thresholds, (Thresholds{0.7f, 0.8f, 0.0f}));
  const std::vector<std::int64_t> exits = {0, 0, 0, 1, 1, 1, 2, 2, 2, 1};
  for (std::int64_t i = 0; i < 10; ++i) {
    EXPECT_EQ(leaving_exit(r, i, thresholds), exits[static_cast<std::size_t>(i)]) << i;
  }
  const BudgetResult result = simulate_exits(r, thresholds, {10, 20, 40});
  EXPECT_DOUBLE_EQ(result.accuracy, 0.7);
  EXPECT_DOUBLE_EQ(result.mean_cost, (3 * 10 + 4 * 20 + 3 * 40) / 10.0);
  EXPECT_EQ(result.shares, (std::vector<double>{0.3, 0.4, 0.3}));
}

TEST(FitThresholds, TiesLeaveTogether) {
  const ExitRecords r = make_records(2, {0.5f, 0, 0.5f, 0, 0.5f, 0, 0.4f, 0}, {1, 1, 1, 1});
  EXPECT_EQ(fit_thresholds(r, {0.25, 0.75}), (Thresholds{0.5f, 0.0f}));
  EXPECT_EQ(simulate_exits(r, {0.5f, 0.0f}, {1, 2}).shares, (std::vector<double>{0.75, 0.25}));
}

TEST(FitThresholds, AShareBelowOneSampleLetsNobodyLeave) {
  const ExitRecords r = make_records(3, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1});
  EXPECT_EQ(fit_thresholds(r, {0.24, 0.5, 0.26}), (Thresholds{kNobody, 1.0f, 0.0f}));
  EXPECT_EQ(fit_thresholds(r, {0.0, 0.0, 1.0}), (Thresholds{kNobody, kNobody, 0.0f}));
  EXPECT_EQ(simulate_exits(r, {kNobody, kNobody, 0.0f}, {1, 2, 3}).mean_cost, 3.0);
}

TEST(FitThresholds, FewerLeftThanTheQuotaAllLeave) {
  // Ties empty the network at exit 1, beyond its share.
  const ExitRecords r =
      make_records(3, {0.9f, 0.3f, 0, 0.9f, 0.2f, 0, 0.9f, 0.1f, 0, 0.5f, 0.6f, 0}, {1, 1, 1, 1});
  const Thresholds thresholds = fit_thresholds(r, {0.25, 0.5, 0.25});
  EXPECT_EQ(thresholds, (Thresholds{0.9f, 0.6f, 0.0f}));
  EXPECT_EQ(simulate_exits(r, thresholds, {1, 2, 3}).shares,
            (std::vector<double>{0.75, 0.25, 0.0}));
}

TEST(FitThresholds, TheLastExitTakesEvenConfidenceZero) {
  const ExitRecords r = make_records(2, {0, 0, 0, 0}, {1, 1});
  EXPECT_EQ(leaving_exit(r, 0, {kNobody, 0.0f}), 1);
  EXPECT_EQ(simulate_exits(r, {kNobody, 0.0f}, {1, 2}).shares, (std::vector<double>{0.0, 1.0}));
  const ExitRecords one = make_records(1, {0.3f, 0.2f}, {1, 0});
  EXPECT_EQ(fit_thresholds(one, {1.0}), (Thresholds{0.0f}));
  EXPECT_EQ(simulate_exits(one, {0.0f}, {7}).mean_cost, 7.0);
}

TEST(FitThresholds, RandomRecordsAsANaiveReading) {
  for (std::uint64_t seed = 0; seed < 300 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomStream random(seed, RandomPurpose::test);
    const std::int64_t exits = 1 + random.below(7), samples = 1 + random.below(60);
    const std::int64_t levels = random.below(2) == 0 ? 4 : 1 << 20;
    const ExitRecords r = random_records(random, samples, exits, levels);
    expect_as_naive(r, exit_shares(random.uniform(0.05, 2.0), exits));
    std::vector<double> shares(static_cast<std::size_t>(exits), 0.0);  // all leave at one exit
    shares[static_cast<std::size_t>(random.below(exits))] = 1.0;
    expect_as_naive(r, shares);
  }
}

TEST(FitThresholds, EveryBudgetOnManySamples) {
  RandomStream random(5, RandomPurpose::test);
  const ExitRecords r = random_records(random, 2000, 5, 1 << 22);
  double before = 1e300;
  std::vector<std::int64_t> costs = {1, 2, 3, 4, 5};
  const std::vector<double> points = budget_points();
  for (auto p = points.rbegin(); p != points.rend(); ++p) {
    expect_as_naive(r, exit_shares(*p, 5));
    const double cost = simulate_exits(r, fit_thresholds(r, exit_shares(*p, 5)), costs).mean_cost;
    EXPECT_LE(cost, before);  // smaller p, earlier exits
    before = cost;
  }
}

TEST(FitThresholds, DoNotChangeWithTheOrderOfTheSamples) {
  RandomStream random(6, RandomPurpose::test);
  const ExitRecords r = random_records(random, 50, 3, 10);
  ExitRecords reversed = r;
  for (std::int64_t i = 0; i < 50; ++i) {
    for (std::int64_t k = 0; k < 3; ++k) {
      reversed.confidence[r.at(49 - i, k)] = r.confidence[r.at(i, k)];
    }
  }
  const std::vector<double> shares = exit_shares(0.8, 3);
  EXPECT_EQ(fit_thresholds(r, shares), fit_thresholds(reversed, shares));
}

TEST(FitThresholds, NoSamples) {
  const ExitRecords none = make_records(2, {}, {});
  EXPECT_EQ(fit_thresholds(none, {0.5, 0.5}), (Thresholds{kNobody, 0.0f}));
  const BudgetResult result = simulate_exits(none, {kNobody, 0.0f}, {1, 2});
  EXPECT_EQ(result.accuracy, 0.0);
  EXPECT_EQ(result.mean_cost, 0.0);
}

TEST(FitThresholds, ConfidencesThatAreNaNAreRefused) {
  // A network that diverged; they have no order.
  std::vector<float> confidence(200, std::nanf(""));
  for (std::size_t i = 0; i < 200; i += 3) confidence[i] = 0.5f;
  const ExitRecords r = make_records(2, confidence, std::vector<std::int32_t>(100, 1));
  EXPECT_THROW(fit_thresholds(r, {0.5, 0.5}), Error);
}

TEST(FitThresholds, SizesAreChecked) {
  const ExitRecords r = make_records(2, {0.1f, 0.2f}, {1});
  EXPECT_THROW(fit_thresholds(r, {1.0}), ShapeError);
  EXPECT_THROW(simulate_exits(r, {0.0f}, {1, 2}), ShapeError);
  EXPECT_THROW(simulate_exits(r, {0.5f, 0.0f}, {1}), ShapeError);
}

}  // namespace
}  // namespace msd
