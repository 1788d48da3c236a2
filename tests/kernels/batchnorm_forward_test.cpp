// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/kernels/batchnorm_cases.h"

namespace msd::test::norm {
namespace {

using testing::AssertionResult;
using testing::AssertionSuccess;

template <typename T>
using Problem = calls::BatchnormForward<Guarded<T>>;

template <typename T>
AssertionResult matches(Problem<T>& p) {
  p.reset_running();
  const std::vector<double> old_mean = p.running_mean.doubles(), old_var = p.running_var.doubles();
  const BatchnormReference r = p.reference();
  // x, mean, gamma and beta are below 2: each rounding is below 2*eps, of which the ones before
  // the multiplication are magnified by invstd. 8 covers the roundings on the way.
  const Tolerance y_tolerance{8.0 * kEps<T> * r.magnification(), 4.0 * kEps<T>};
  const Tolerance statistic{4.0 * kEps<T>, 16.0 * kEps<T>};
  return always(p, [&] {
    MSD_RETURN_IF_FAILED(compare("y", p.y, r.y, y_tolerance));
    MSD_RETURN_IF_FAILED(compare("saved_mean", p.saved_mean, r.mean, statistic));
    MSD_RETURN_IF_FAILED(compare("saved_invstd", p.saved_invstd, r.invstd, statistic));
    MSD_RETURN_IF_FAILED(
        compare("running_mean", p.running_mean, r.running_mean(old_mean), statistic));
    MSD_RETURN_IF_FAILED(compare("running_var", p.running_var, r.running_var(old_var), statistic));
    return p.x.intact();
  });
}

template <typename T>
class BatchnormForward : public OpTest {};
TYPED_TEST_SUITE(BatchnormForward, FloatTypes);

TYPED_TEST(BatchnormForward, MatchesTheReference) {
  for_each_problem<Problem<TypeParam>>([](auto& p) { EXPECT_TRUE(matches(p)); });
}

TYPED_TEST(BatchnormForward, IsExactOnIntegers) {
  // 256 rows of small integers: every sum is exact, so the statistics are the nearest values.
  Problem<TypeParam> p({4, 8, 8, 12}, {1, 3});
  p.x.integers(31, -8, 8);
  p.relu = false;
  const BatchnormReference r = p.reference();
  std::vector<double> mean, invstd;
  for (const double m : r.mean) mean.push_back(static_cast<double>(static_cast<TypeParam>(m)));
  for (const double s : r.invstd) invstd.push_back(static_cast<double>(static_cast<TypeParam>(s)));
  EXPECT_TRUE(always(p, [&] {
    MSD_RETURN_IF_FAILED(compare("saved_mean", p.saved_mean, mean, {}));
    // The double formulas may differ in their last bit, which may turn a tie of the narrower type.
    return compare("saved_invstd", p.saved_invstd, invstd, {0.0, 2.0 * kEps<TypeParam>});
  }));
}

TYPED_TEST(BatchnormForward, KeepsTheVarianceOfDataFarFromZero) {
  // Mean 1000, std 1, 36864 rows. In float, x itself is rounded to 3e-5.
  Problem<TypeParam> p({9, 64, 64, 5}, {0, 3});
  Random random(5);
  for (std::int64_t row = 0; row < p.x.rows(); ++row) {
    for (std::int64_t i = 0; i < 5; ++i) {
      double sum = -6.0;  // of 12 uniforms: nearly normal
      for (int k = 0; k < 12; ++k) sum += random.uniform(0.0, 1.0);
      p.x.at(row, i) = static_cast<TypeParam>(1000.0 + sum);
    }
  }
  p.relu = false;
  const BatchnormReference r = p.reference();
  EXPECT_TRUE(always(p, [&] {
    MSD_RETURN_IF_FAILED(compare("saved_mean", p.saved_mean, r.mean, {0.0, kEps<TypeParam>}));
    // Half of the variance's relative error; asked for is 1e-4, measured 1e-7.
    return compare("saved_invstd", p.saved_invstd, r.invstd, {0.0, 16.0 * kEps<TypeParam>});
  }));
}

TYPED_TEST(BatchnormForward, ConstantChannelGivesBeta) {
  Problem<TypeParam> p({2, 5, 5, 6});
  p.x.fill(TypeParam{1000});
  std::vector<double> beta;
  for (std::int64_t row = 0; row < p.x.rows(); ++row) {
    for (const double b : p.beta.doubles()) beta.push_back(std::max(b, 0.0));
  }
  EXPECT_TRUE(always(p, [&] {
    MSD_RETURN_IF_FAILED(compare("saved_invstd", p.saved_invstd,
                                 std::vector<double>(6, 1.0 / std::sqrt(calls::kBatchnormEpsilon)),
                                 {0.0, kEps<TypeParam>}));
    return compare("y", p.y, beta, {});
  }));
}

TYPED_TEST(BatchnormForward, MomentumZeroKeepsAndOneReplaces) {
  for (const double momentum : {0.0, 1.0}) {
    Problem<TypeParam> p({2, 3, 3, 5});
    const BatchnormReference r = p.reference();
    const std::vector<double> old = p.running_mean.doubles();
    BatchNormForwardArgs args = p.args();
    args.momentum = momentum;
    ExecutionContext context = any_context();
    batchnorm_forward(context, {&args, 1});
    EXPECT_TRUE(compare("running_mean", p.running_mean, momentum == 0.0 ? old : r.mean,
                        {4.0 * kEps<TypeParam>, 0.0}));
  }
}

TYPED_TEST(BatchnormForward, NaNStaysInItsChannel) {
  Problem<TypeParam> p({2, 4, 4, 7}, {1, 2});
  p.x.at(17, 3) = std::numeric_limits<TypeParam>::quiet_NaN();
  EXPECT_TRUE(always(p, [&] {
    for (std::int64_t row = 0; row < p.y.rows(); ++row) {
      for (std::int64_t i = 0; i < 7; ++i) {
        if (std::isnan(p.y.at(row, i)) != (i == 3)) {
          return testing::AssertionFailure() << "row " << row << ", channel " << i;
        }
      }
    }
    return AssertionSuccess();
  }));
}

TYPED_TEST(BatchnormForward, GroupOfManyShapes) {
  // More problems than fit one batch (32), large ones among them.
  std::vector<Problem<TypeParam>> group;
  for (int i = 0; i < 70; ++i) {
    group.emplace_back(i % 10 == 9 ? Shape{2, 32, 40, 30} : Shape{1, 1 + i % 4, 3, 1 + i % 19});
  }
  EXPECT_TRUE(group_equals_single_calls(group));
  for (Problem<TypeParam>& p : group) EXPECT_TRUE(matches(p));
}

TYPED_TEST(BatchnormForward, SlicesOfOneBufferMayInterleave) {
  Problem<TypeParam> p({3, 5, 5, 6});
  Operand<TypeParam> buffer(3, 5, 5, 20, {1, 1});
  buffer.random(41);
  const BatchnormReference r(
      [&] {
        std::vector<double> x;
        for (std::int64_t row = 0; row < buffer.rows(); ++row) {
          for (std::int64_t i = 7; i < 13; ++i) x.push_back(static_cast<double>(buffer.at(row, i)));
        }
        return x;
      }(),
      p.gamma.doubles(), p.beta.doubles(), true);
  std::vector<double> expected = buffer.doubles();
  for (std::int64_t row = 0; row < buffer.rows(); ++row) {
    for (std::int64_t i = 0; i < 6; ++i) {
      expected[static_cast<std::size_t>(row * 20 + 13 + i)] =
          r.y[static_cast<std::size_t>(row * 6 + i)];
    }
  }
  BatchNormForwardArgs args = p.args();
  args.x = buffer.view().channels(7, 6);
  args.y = buffer.view().channels(13, 6);
  ExecutionContext context = any_context();
  batchnorm_forward(context, {&args, 1});
  EXPECT_TRUE(compare("buffer", buffer, expected, {8.0 * kEps<TypeParam> * r.magnification(), 0}));
}

TYPED_TEST(BatchnormForward, RejectsWhatTheContractForbids) {
  Problem<TypeParam> p({2, 3, 3, 5});
  const auto reject = rejector(p);
  EXPECT_TRUE(reject([](auto& a) { a.x.n = a.y.n = a.x.h = a.y.h = a.x.w = a.y.w = 1; }));
  EXPECT_TRUE(reject([](auto& a) { a.y.c = 4; }));
  EXPECT_TRUE(reject([](auto& a) { a.y.pitch = 4; }));
  EXPECT_TRUE(reject([](auto& a) { a.y.data = const_cast<void*>(a.x.data); }));
  EXPECT_TRUE(bf16_has_bodies() || reject([](auto& a) { a.x.dtype = DType::bf16; }));
  EXPECT_TRUE(bf16_has_bodies() || reject([](auto& a) { a.x.dtype = a.y.dtype = DType::bf16; }));
  EXPECT_TRUE(reject([](auto& a) { a.gamma = nullptr; }));
  EXPECT_TRUE(reject([](auto& a) { a.saved_invstd = nullptr; }));
  EXPECT_TRUE(reject([](auto& a) { a.epsilon = 0.0; }));
  EXPECT_TRUE(reject([](auto& a) { a.momentum = 1.5; }));
}

}  // namespace
}  // namespace msd::test::norm
