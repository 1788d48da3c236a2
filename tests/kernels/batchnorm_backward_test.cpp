// SPDX-License-Identifier: MIT
#include <cmath>
#include <vector>

#include "tests/kernels/batchnorm_cases.h"

namespace msd::test::norm {
namespace {

using testing::AssertionResult;
using testing::AssertionSuccess;

template <typename T>
using Problem = calls::BatchnormBackward<Guarded<T>>;

template <typename T>
class BatchnormBackward : public OpTest {};
TYPED_TEST_SUITE(BatchnormBackward, FloatTypes);

/// Moves x where the reference is too near the kink for the op to agree on its side.
template <typename T>
void leave_kinks(Problem<T>& p) {
  for (int attempt = 0; attempt < 100; ++attempt) {
    const std::vector<double> value = p.reference().value;
    bool moved = false;
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (std::abs(value[i]) > 1e-3) continue;
      const auto c = static_cast<std::size_t>(p.gamma.elems());
      p.x.at(static_cast<std::int64_t>(i / c), static_cast<std::int64_t>(i % c)) += T(0.05);
      moved = true;
    }
    if (!moved) return;
  }
  FAIL() << "x stays near the kink";
}

/// As forward would have saved them.
template <typename T>
void save(Problem<T>& p, const BatchnormReference& reference) {
  for (std::int64_t i = 0; i < p.gamma.elems(); ++i) {
    p.saved_mean.at(0, i) = static_cast<T>(reference.mean[static_cast<std::size_t>(i)]);
    p.saved_invstd.at(0, i) = static_cast<T>(reference.invstd[static_cast<std::size_t>(i)]);
  }
}

TYPED_TEST(BatchnormBackward, MatchesTheReference) {
  for_each_problem<Problem<TypeParam>>([](auto& p) {
    leave_kinks(p);
    const BatchnormReference r = p.reference();
    save(p, r);
    const calls::BatchnormGradients g(r, p.x.doubles(), p.dy.doubles(), p.gamma.doubles(), p.relu);
    // Sums of `rows` terms; dx has the roundings of d and of both means, times scale.
    const double magnification = r.magnification();
    const Tolerance sums = sum_tolerance<TypeParam>(p.x.rows(), 2.0 + magnification);
    const Tolerance dx_tolerance{
        16.0 * kEps<TypeParam> * magnification * (1.0 + magnification * kEps<TypeParam>),
        16.0 * kEps<TypeParam>};
    EXPECT_TRUE(always(p, [&] {
      MSD_RETURN_IF_FAILED(compare("dbeta", p.dbeta, g.dbeta, sums));
      MSD_RETURN_IF_FAILED(compare("dgamma", p.dgamma, g.dgamma, sums));
      MSD_RETURN_IF_FAILED(compare("dx", p.dx, g.dx, dx_tolerance));
      return p.dy.intact();
    }));
  });
}

TYPED_TEST(BatchnormBackward, MatchesCentralDifferencesOfForward) {
  for (const bool relu : {true, false}) {
    Problem<TypeParam> p({2, 3, 2, 5}, {1, 2});
    leave_kinks(p);
    p.relu = relu;
    save(p, p.reference());
    const std::vector<double> x = p.x.doubles(), dy = p.dy.doubles();
    const std::vector<double> gamma = p.gamma.doubles(), beta = p.beta.doubles();
    const auto loss = [&](const BatchnormReference& r) {
      double sum = 0.0;
      for (std::size_t i = 0; i < dy.size(); ++i) sum += dy[i] * r.y[i];
      return sum;
    };
    const auto dx = central_differences(
        [&](const auto& at) { return loss(BatchnormReference(at, gamma, beta, relu)); }, x);
    const auto dgamma = central_differences(
        [&](const auto& at) { return loss(BatchnormReference(x, at, beta, relu)); }, gamma);
    const auto dbeta = central_differences(
        [&](const auto& at) { return loss(BatchnormReference(x, gamma, at, relu)); }, beta);
    // Differences: step^2 times the third derivative and 1e-16/step, together below 1e-8.
    const Tolerance tolerance{1e-8 + 100.0 * kEps<TypeParam>, 0.0};
    EXPECT_TRUE(always(p, [&] {
      MSD_RETURN_IF_FAILED(compare("dx", p.dx, dx, tolerance));
      MSD_RETURN_IF_FAILED(compare("dgamma", p.dgamma, dgamma, tolerance));
      return compare("dbeta", p.dbeta, dbeta, tolerance);
    })) << (relu ? "relu" : "");
  }
}

TYPED_TEST(BatchnormBackward, MaskIsForwardsBitForBit) {
  // 6 * 6400 values, many of them at the kink: dbeta with dy = 1 counts the positive outputs.
  for (const Shape& shape : {Shape{4, 40, 40, 6}, Shape{2, 11, 13, 130}}) {
    Problem<TypeParam> p(shape, {1, 0});
    p.x.integers(51, -3, 3);
    p.gamma.fill(TypeParam(0.7));
    p.dy.fill(TypeParam{1});
    EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
      const auto forward = [&](bool relu) {
        for (Operand<TypeParam>* out : {&p.y, &p.saved_mean, &p.saved_invstd}) out->poison();
        BatchNormForwardArgs args = p.forward();
        args.relu = relu;
        batchnorm_forward(context, {&args, 1});
      };
      p.beta.fill(TypeParam{0});
      forward(false);
      // beta such that an x of 1 lands on the kink, give or take a rounding.
      for (std::int64_t i = 0; i < shape.c; ++i) {
        p.beta.at(0, i) =
            -(TypeParam{1} - p.saved_mean.at(0, i)) * (p.gamma.at(0, i) * p.saved_invstd.at(0, i));
      }
      forward(true);
      std::vector<double> positive(static_cast<std::size_t>(shape.c));
      for (std::int64_t row = 0; row < p.y.rows(); ++row) {
        for (std::int64_t i = 0; i < shape.c; ++i) {
          positive[static_cast<std::size_t>(i)] += p.y.at(row, i) > TypeParam{0};
        }
      }
      run_and_keep(context, outputs, p);
      return compare("dbeta", p.dbeta, positive, {});
    }));
  }
}

TYPED_TEST(BatchnormBackward, InputGradientMayReplaceEitherOperand) {
  const Shape shape{3, 7, 9, 17};
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
    Problem<TypeParam> apart(shape, {2, 1}), over_dy(shape, {2, 1}), over_x(shape, {2, 1});
    for (auto* p : {&apart, &over_dy, &over_x}) save(*p, p->reference());
    BatchNormBackwardArgs args[] = {apart.args(), over_dy.args(), over_x.args()};
    args[1].dx = over_dy.dy.view();
    args[2].dx = over_x.x.view();
    batchnorm_backward(context, args);
    if (apart.dx.values() != over_dy.dy.values() || apart.dx.values() != over_x.x.values()) {
      return testing::AssertionFailure() << "dx in place differs";
    }
    MSD_RETURN_IF_FAILED(over_dy.dy.intact());
    return over_x.x.intact();
  }));
}

TYPED_TEST(BatchnormBackward, NoRowsGiveZeroGradients) {
  Problem<TypeParam> p({0, 4, 4, 5});
  p.saved_mean.fill(0);
  p.saved_invstd.fill(1);
  ExecutionContext context = any_context();
  calls::run(context, p);
  EXPECT_TRUE(compare("dgamma", p.dgamma, std::vector<double>(5), {}));
  EXPECT_TRUE(compare("dbeta", p.dbeta, std::vector<double>(5), {}));
}

TYPED_TEST(BatchnormBackward, RejectsWhatTheContractForbids) {
  Problem<TypeParam> p({2, 3, 3, 5}, {1, 1});
  const auto reject = rejector(p);
  EXPECT_TRUE(reject([](auto& a) { a.dy.h = 2; }));
  EXPECT_TRUE(reject([](auto& a) { a.dx.c = 4; }));
  EXPECT_TRUE(reject([&](auto& a) { a.dx.data = p.x.data() + 1; }));
  EXPECT_TRUE(reject([&](auto& a) { a.dx.data = p.dy.data() - 1; }));
  EXPECT_TRUE(reject([](auto& a) { a.beta = nullptr; }));
  EXPECT_TRUE(reject([](auto& a) { a.dgamma = nullptr; }));
  EXPECT_TRUE(bf16_has_bodies() ||
              reject([](auto& a) { a.x.dtype = a.dy.dtype = a.dx.dtype = DType::bf16; }));
}

}  // namespace
}  // namespace msd::test::norm
