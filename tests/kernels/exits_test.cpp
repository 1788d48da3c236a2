// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <memory>

#include "tests/kernels/op_harness.h"

namespace msd::test {
namespace {

using testing::AssertionFailure;
using testing::AssertionResult;
using testing::AssertionSuccess;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

template <typename T>
class SelectSurvivors : public OpTest {};
TYPED_TEST_SUITE(SelectSurvivors, FloatTypes);

template <typename T>
struct Selection {
  explicit Selection(std::int64_t values, double limit = 0.5)
      : count(values),
        threshold(limit),
        confidence(1, 1, 1, values),
        survivors(1, 1, 1, values),
        survivor_count(1, 1, 1, 1) {
    confidence.integers(1, 0, 8);  // eighths: exact, and some are the threshold
    for (std::int64_t i = 0; i < count; ++i) confidence.at(0, i) /= T{8};
  }
  SelectSurvivorsArgs args() {
    return {confidence.data(),    count, kDTypeOf<T>, threshold, survivors.data(),
            survivor_count.data()};
  }
  AssertionResult right() const {
    std::vector<std::int32_t> expected;
    for (std::int64_t i = 0; i < count; ++i) {
      if (static_cast<double>(confidence.at(0, i)) >= threshold) continue;
      expected.push_back(static_cast<std::int32_t>(i));
    }
    const auto found = survivor_count.at(0, 0);
    if (found != static_cast<std::int32_t>(expected.size())) {
      return AssertionFailure() << found << " survivors, expected " << expected.size();
    }
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int32_t value = survivors.at(0, i);
      const bool past = i >= found;
      if (past ? is_tag(value) : value == expected[static_cast<std::size_t>(i)]) continue;
      return AssertionFailure() << "survivors[" << i << "] of " << found << " is " << value;
    }
    return survivors.intact();
  }
  std::int64_t count;
  double threshold;
  Operand<T> confidence;
  Operand<std::int32_t> survivors, survivor_count;
};

template <typename T>
AssertionResult selects(Selection<T>& p) {
  return on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
    p.survivors.poison();
    p.survivor_count.poison();
    const SelectSurvivorsArgs args = p.args();
    select_survivors(context, {&args, 1});
    outputs.keep("survivors", p.survivors);
    outputs.keep("survivor_count", p.survivor_count);
    return p.right();
  });
}

TYPED_TEST(SelectSurvivors, AreThoseBelowTheThreshold) {
  for (const std::int64_t count : {0, 1, 2, 31, 32, 33, 127, 129, 1000, 1024, 1025, 5003, 20011}) {
    for (const double threshold : {-kInfinity, 0.0, 0.125, 0.5, 1.0, kInfinity}) {
      if (count > 2000 && threshold != 0.5 && threshold != 1.0) continue;
      Selection<TypeParam> p(count, threshold);
      EXPECT_TRUE(selects(p)) << count << " below " << threshold;
    }
  }
}

TYPED_TEST(SelectSurvivors, NaNGoesOn) {
  Selection<TypeParam> some(200), all(200, kNaN);
  for (const std::int64_t i : {0, 31, 63, 150, 199}) {
    some.confidence.at(0, i) = static_cast<TypeParam>(kNaN);
  }
  EXPECT_TRUE(selects(some));
  EXPECT_TRUE(selects(all));
  EXPECT_EQ(all.survivor_count.at(0, 0), 200);
}

TYPED_TEST(SelectSurvivors, ComparesWithTheThresholdAsItIs) {
  Selection<TypeParam> p(3, 0.1);  // between two floats
  p.confidence.set(std::vector<TypeParam>{
      static_cast<TypeParam>(0.1), std::nextafter(static_cast<TypeParam>(0.1), TypeParam{0}),
      std::nextafter(static_cast<TypeParam>(0.1), TypeParam{1})});
  EXPECT_TRUE(selects(p));
  EXPECT_EQ(p.survivor_count.at(0, 0), 1);
}

TYPED_TEST(SelectSurvivors, RunsAGroup) {
  std::vector<std::unique_ptr<Selection<TypeParam>>> problems;
  std::vector<SelectSurvivorsArgs> group;
  for (const std::int64_t count : {5, 0, 1300, 64, 1, 2, 3, 4, 90, 91}) {
    problems.push_back(std::make_unique<Selection<TypeParam>>(count, 0.4));
    group.push_back(problems.back()->args());
  }
  ExecutionContext context = any_context(3);
  select_survivors(context, group);
  for (const auto& problem : problems) EXPECT_TRUE(problem->right()) << problem->count;
}

TYPED_TEST(SelectSurvivors, RejectsWhatTheContractForbids) {
  Selection<TypeParam> p(9);
  const auto reject = [&](auto change) {
    return rejects(select_survivors, "select_survivors", p.args(), change);
  };
  EXPECT_TRUE(reject([](auto& a) { a.count = -1; }));
  EXPECT_TRUE(reject([](auto& a) { a.count = std::int64_t{1} << 31; }));
  EXPECT_TRUE(reject([](auto& a) { a.dtype = DType::bf16; }));
  EXPECT_TRUE(reject([](auto& a) { a.confidence = nullptr; }));
  EXPECT_TRUE(reject([](auto& a) { a.survivors = nullptr; }));
  EXPECT_TRUE(reject([](auto& a) { a.survivor_count = nullptr; }));
}

template <typename T>
class CountExits : public OpTest {};
TYPED_TEST_SUITE(CountExits, FloatTypes);

/// Class indices by falling value, equals by rising index.
std::vector<std::size_t> order_of(const std::vector<double>& values) {
  std::vector<std::size_t> order(values.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  if (std::any_of(values.begin(), values.end(), [](double v) { return std::isnan(v); })) {
    return order;
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return values[a] > values[b]; });
  return order;
}

struct ExitShape {
  std::int64_t n, classes, exits;
};

template <typename T>
struct Exits {
  static constexpr double kStartLoss = 2.5;
  static constexpr std::int64_t kStartCount = 7;

  explicit Exits(const ExitShape& s, Gap gap = {})
      : n(s.n),
        classes(s.classes),
        exits(s.exits),
        labels(1, 1, 1, s.n),
        sums(1, 1, s.n, s.classes),
        loss_sum(1, 1, 1, s.exits),
        correct(1, 1, s.exits, 4) {
    for (std::int64_t k = 0; k < exits; ++k) {
      logits.emplace_back(n, 1, 1, classes, gap);
      logits.back().random(static_cast<std::uint64_t>(k) + 1, -3.0, 3.0);
    }
    for (const auto& each : logits) views.push_back(each.view());
    labels.integers(99, 0, classes - 1);
    start();
  }
  void start() {
    sums.poison();
    loss_sum.fill(kStartLoss);
    correct.fill(kStartCount);
  }
  CountExitsArgs args() {
    return {views, labels.data(), sums.data(), loss_sum.data(), correct.data()};
  }
  AssertionResult right() const {
    std::vector<double> losses, counts;
    std::vector<double> ensemble(static_cast<std::size_t>(n * classes));
    for (std::int64_t k = 0; k < exits; ++k) {
      double loss = kStartLoss;
      std::int64_t right[4] = {kStartCount, kStartCount, kStartCount, kStartCount};
      for (std::int64_t s = 0; s < n; ++s) {
        std::vector<double> z, p, sum;
        double total = 0.0;
        for (std::int64_t i = 0; i < classes; ++i) {
          z.push_back(static_cast<double>(logits[static_cast<std::size_t>(k)].at(s, i)));
        }
        double max = z[0];
        for (const double v : z) max = std::isnan(v) || v > max ? v : max;
        for (const double v : z) total += std::exp(v - max);
        for (std::int64_t i = 0; i < classes; ++i) {
          p.push_back(std::exp(z[static_cast<std::size_t>(i)] - max) / total);
          sum.push_back(ensemble[static_cast<std::size_t>(s * classes + i)] += p.back());
        }
        const std::int64_t label = labels.at(0, s);
        if (label < 0 || label >= classes) continue;
        const double least = std::numeric_limits<float>::min();
        const double of_label = p[static_cast<std::size_t>(label)];
        loss -= std::log(of_label < least ? least : of_label);
        const auto own = order_of(z), joint = order_of(sum);
        const auto place = [&](const std::vector<std::size_t>& order) {
          return std::find(order.begin(), order.end(), static_cast<std::size_t>(label)) -
                 order.begin();
        };
        right[0] += place(own) < 1, right[1] += place(own) < 5;
        right[2] += place(joint) < 1, right[3] += place(joint) < 5;
      }
      losses.push_back(loss);
      for (const std::int64_t count : right) counts.push_back(static_cast<double>(count));
    }
    // 16 eps for each probability, as softmax_confidence has.
    const double eps = std::numeric_limits<T>::epsilon();
    const Tolerance tolerance{16.0 * eps * static_cast<double>(n), 16.0 * eps};
    if (AssertionResult result = compare("loss", loss_sum, losses, tolerance); !result) {
      return result;
    }
    if (AssertionResult result = compare("correct", correct, counts, {}); !result) return result;
    return sums.intact();
  }
  std::int64_t n, classes, exits;
  std::vector<Operand<T>> logits;
  std::vector<ConstView> views;
  Operand<std::int32_t> labels;
  Operand<T> sums;
  Operand<double> loss_sum;
  Operand<std::int64_t> correct;
};

template <typename T>
AssertionResult counts(Exits<T>& p) {
  return on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
    p.start();
    const CountExitsArgs args = p.args();
    count_exits(context, {&args, 1});
    outputs.keep("loss_sum", p.loss_sum);
    outputs.keep("correct", p.correct);
    return p.right();
  });
}

TYPED_TEST(CountExits, MatchesTheReference) {
  for (const ExitShape& s : {ExitShape{1, 1, 1}, ExitShape{3, 2, 3}, ExitShape{7, 4, 1},
                             ExitShape{64, 10, 3}, ExitShape{17, 6, 3}, ExitShape{9, 130, 3},
                             ExitShape{2, 1000, 1}, ExitShape{0, 5, 2}, ExitShape{13, 10, 19}}) {
    for (const Gap gap : {Gap{0, 0}, Gap{3, 2}}) {
      Exits<TypeParam> p(s, gap);
      EXPECT_TRUE(counts(p)) << s.n << " x " << s.classes << ", " << s.exits << " exits";
    }
  }
}

TYPED_TEST(CountExits, TakesManyRows) {
  Exits<TypeParam> p({4104, 2, 1});
  EXPECT_TRUE(counts(p));
}

TYPED_TEST(CountExits, TiesGoToTheLowestClass) {
  for (const std::int64_t exits : {1, 2}) {
    Exits<TypeParam> p({200, 10, exits});
    for (auto& logits : p.logits) logits.integers(5, 0, 1);  // the same at each exit
    EXPECT_TRUE(counts(p)) << exits;
  }
}

TYPED_TEST(CountExits, NaNRanksByIndexAndReachesTheLoss) {
  Exits<TypeParam> p({8, 7, 3});
  p.labels.set(std::vector<std::int32_t>{0, 4, 5, 6, 0, 1, 2, 3});
  for (const std::int64_t row : {0, 1, 2, 3}) {
    p.logits[1].at(row, 6 - row) = static_cast<TypeParam>(kNaN);
  }
  EXPECT_TRUE(counts(p));
  EXPECT_FALSE(std::isnan(p.loss_sum.at(0, 0)));
  EXPECT_TRUE(std::isnan(p.loss_sum.at(0, 1)));
  EXPECT_FALSE(std::isnan(p.loss_sum.at(0, 2)));
}

TYPED_TEST(CountExits, LabelsOutsideCountNothing) {
  Exits<TypeParam> p({40, 5, 2});
  for (std::int64_t row = 0; row < 40; row += 3) p.labels.at(0, row) = row % 2 == 0 ? -1 : 5;
  EXPECT_TRUE(counts(p));
  p.labels.fill(1 << 30);
  EXPECT_TRUE(counts(p));
  EXPECT_EQ(p.loss_sum.at(0, 0), p.kStartLoss);
}

TYPED_TEST(CountExits, UnderflowCostsTheLeastFloat) {
  Exits<TypeParam> p({1, 2, 1});
  p.logits[0].set(std::vector<TypeParam>{0, -10000});
  p.labels.fill(1);
  EXPECT_TRUE(counts(p));
  EXPECT_NEAR(p.loss_sum.at(0, 0), p.kStartLoss + 87.3365447505531, 1e-9);
}

TYPED_TEST(CountExits, RunsAGroup) {
  Exits<TypeParam> a({5, 10, 3}), b({20, 3, 1}), c({0, 4, 2}), d({9, 33, 18});
  const CountExitsArgs group[] = {a.args(), b.args(), c.args(), d.args()};
  ExecutionContext context = any_context(3);
  count_exits(context, group);
  for (const auto* problem : {&a, &b, &c, &d}) EXPECT_TRUE(problem->right()) << problem->n;
}

TYPED_TEST(CountExits, RejectsWhatTheContractForbids) {
  Exits<TypeParam> p({4, 6, 2});
  const auto reject = [&](auto change) {
    return rejects(count_exits, "count_exits", p.args(), change);
  };
  EXPECT_TRUE(reject([](auto& a) { a.logits = {}; }));
  EXPECT_TRUE(reject([](auto& a) { a.labels = nullptr; }));
  EXPECT_TRUE(reject([](auto& a) { a.probability_sums = nullptr; }));
  EXPECT_TRUE(reject([](auto& a) { a.loss_sum = nullptr; }));
  EXPECT_TRUE(reject([](auto& a) { a.correct = nullptr; }));
  std::vector<ConstView> other = p.views;
  other[1].c = 5;
  EXPECT_TRUE(reject([&](auto& a) { a.logits = other; }));
  for (ConstView& view : other) view.c = 6, view.dtype = DType::bf16;
  EXPECT_TRUE(bf16_has_bodies() || reject([&](auto& a) { a.logits = other; }));
  for (ConstView& view : other) view.c = 0;
  EXPECT_TRUE(reject([&](auto& a) { a.logits = other; }));
}

}  // namespace
}  // namespace msd::test
