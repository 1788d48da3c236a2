// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <memory>

#include "tests/kernels/call_runs.h"
#include "tests/kernels/calls/exits.h"

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
struct Selection : calls::SelectSurvivors<Guarded<T>> {
  explicit Selection(std::int64_t values, double limit = 0.5)
      : calls::SelectSurvivors<Guarded<T>>(values, limit) {
    this->confidence.integers(1, 0, 8);  // eighths: exact, and some are the threshold
    for (std::int64_t i = 0; i < values; ++i) this->confidence.at(0, i) /= T{8};
  }
  AssertionResult right() const {
    std::vector<std::int32_t> expected;
    for (std::int64_t i = 0; i < this->count; ++i) {
      if (static_cast<double>(this->confidence.at(0, i)) >= this->threshold) continue;
      expected.push_back(static_cast<std::int32_t>(i));
    }
    const auto found = this->survivor_count.at(0, 0);
    if (found != static_cast<std::int32_t>(expected.size())) {
      return AssertionFailure() << found << " survivors, expected " << expected.size();
    }
    for (std::int64_t i = 0; i < this->count; ++i) {
      const std::int32_t value = this->survivors.at(0, i);
      const bool past = i >= found;
      if (past ? is_tag(value) : value == expected[static_cast<std::size_t>(i)]) continue;
      return AssertionFailure() << "survivors[" << i << "] of " << found << " is " << value;
    }
    return this->survivors.intact();
  }
};

template <typename T>
AssertionResult selects(Selection<T>& p) {
  return always(p, [&] { return p.right(); });
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
  const auto reject = rejector(p);
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

template <typename T>
struct Exits : calls::CountExits<Guarded<T>> {
  explicit Exits(const calls::ExitsShape& s, Gap gap = {}) : calls::CountExits<Guarded<T>>(s, gap) {
    this->start();
  }
  AssertionResult right() const {
    std::vector<std::vector<double>> z;
    for (const auto& each : this->logits) z.push_back(each.doubles());
    const calls::ExitCountsReference added(this->shape, z, this->labels.doubles());
    std::vector<double> losses, counts;
    for (const double loss : added.losses) losses.push_back(this->kStartLoss + loss);
    for (const auto& of_exit : added.counts) {
      for (const std::int64_t count : of_exit) {
        counts.push_back(static_cast<double>(this->kStartCount + count));
      }
    }
    // 16 eps for each probability, as softmax_confidence has.
    const double eps = std::numeric_limits<T>::epsilon();
    const Tolerance tolerance{16.0 * eps * static_cast<double>(this->shape.n), 16.0 * eps};
    MSD_RETURN_IF_FAILED(compare("loss", this->loss_sum, losses, tolerance));
    MSD_RETURN_IF_FAILED(compare("correct", this->correct, counts, {}));
    return this->sums.intact();
  }
};

template <typename T>
AssertionResult counts(Exits<T>& p) {
  return always(p, [&] { return p.right(); });
}

TYPED_TEST(CountExits, MatchesTheReference) {
  using ExitShape = calls::ExitsShape;
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
  for (const auto* problem : {&a, &b, &c, &d}) EXPECT_TRUE(problem->right()) << problem->shape.n;
}

TYPED_TEST(CountExits, RejectsWhatTheContractForbids) {
  Exits<TypeParam> p({4, 6, 2});
  const auto reject = rejector(p);
  EXPECT_TRUE(reject([](auto& a) { a.logits = {}; }));
  EXPECT_TRUE(reject([](auto& a) { a.labels = nullptr; }));
  EXPECT_TRUE(reject([](auto& a) { a.probability_sums = nullptr; }));
  EXPECT_TRUE(reject([](auto& a) { a.loss_sum = nullptr; }));
  EXPECT_TRUE(reject([](auto& a) { a.correct = nullptr; }));
  std::vector<ConstView> other = {p.logits[0].view(), p.logits[1].view()};
  other[1].c = 5;
  EXPECT_TRUE(reject([&](auto& a) { a.logits = other; }));
  for (ConstView& view : other) view.c = 6, view.dtype = DType::bf16;
  EXPECT_TRUE(bf16_has_bodies() || reject([&](auto& a) { a.logits = other; }));
  for (ConstView& view : other) view.c = 0;
  EXPECT_TRUE(reject([&](auto& a) { a.logits = other; }));
}

}  // namespace
}  // namespace msd::test
