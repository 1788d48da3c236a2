// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <memory>

#include "tests/kernels/op_harness.h"

namespace msd::test {
namespace {

using testing::AssertionResult;
using testing::AssertionSuccess;

constexpr double kEpsilon = 1e-5;

struct Shape {
  std::int64_t n, h, w, c;
  std::int64_t rows() const { return n * h * w; }
};

// Rows below, at and above the unrolling, the blocks of 256 rows and the tasks of 64 KB; channels
// below, at and above a vector, four vectors and the 512 channels of a part.
const Shape kShapes[] = {{1, 1, 2, 1},   {1, 3, 1, 3},    {2, 3, 5, 3},   {1, 7, 1, 5},
                         {4, 4, 4, 6},   {3, 9, 10, 6},   {2, 16, 9, 12}, {2, 9, 9, 16},
                         {1, 11, 5, 17}, {2, 16, 16, 24}, {5, 7, 13, 48}, {2, 11, 13, 130},
                         {1, 2, 2, 530}, {8, 24, 24, 6}};
const Gap kGaps[] = {{0, 0}, {3, 1}, {0, 2}};

std::string describe(const Shape& s, Gap gap, bool relu) {
  return message("[", s.n, ",", s.h, ",", s.w, ",", s.c, "] gap ", gap.before, "+", gap.after,
                 relu ? " relu" : "");
}

/// Everything batch normalisation computes, in double, from packed values.
struct Reference {
  Reference(const std::vector<double>& x, std::int64_t channels, const std::vector<double>& gamma,
            const std::vector<double>& beta, bool relu, double epsilon = kEpsilon)
      : mean(gamma.size()),
        variance(gamma.size()),
        invstd(gamma.size()),
        value(x.size()),
        y(x.size()) {
    const auto c = static_cast<std::size_t>(channels);
    rows = x.size() / c;
    const auto count = static_cast<long double>(rows);
    std::vector<long double> sum(c), squares(c);  // wider: double results are held against them
    for (std::size_t i = 0; i < x.size(); ++i) sum[i % c] += x[i];
    for (std::size_t i = 0; i < x.size(); ++i) {
      const long double d = x[i] - sum[i % c] / count;
      squares[i % c] += d * d;
    }
    for (std::size_t i = 0; i < c; ++i) {
      mean[i] = static_cast<double>(sum[i] / count);
      variance[i] = static_cast<double>(squares[i] / count);
    }
    for (std::size_t i = 0; i < c; ++i) invstd[i] = 1.0 / std::sqrt(variance[i] + epsilon);
    for (std::size_t i = 0; i < x.size(); ++i) {
      value[i] = gamma[i % c] * (x[i] - mean[i % c]) * invstd[i % c] + beta[i % c];
      y[i] = relu && value[i] < 0.0 ? 0.0 : value[i];
    }
  }
  /// How much rounding in x and the mean is magnified, at most.
  double magnification() const {
    return 1.0 + (invstd.empty() ? 0.0 : *std::max_element(invstd.begin(), invstd.end()));
  }
  std::size_t rows;
  std::vector<double> mean, variance, invstd, value, y;
};

/// The operands of one forward and backward call.
template <typename T>
struct Problem {
  explicit Problem(const Shape& s, Gap gap = {})
      : x(s.n, s.h, s.w, s.c, gap),
        y(s.n, s.h, s.w, s.c, {gap.after, gap.before}),
        dy(s.n, s.h, s.w, s.c, {gap.before + 1, gap.after}),
        dx(s.n, s.h, s.w, s.c, gap),
        gamma(1, 1, 1, s.c),
        beta(1, 1, 1, s.c),
        running_mean(1, 1, 1, s.c),
        running_var(1, 1, 1, s.c),
        saved_mean(1, 1, 1, s.c),
        saved_invstd(1, 1, 1, s.c),
        dgamma(1, 1, 1, s.c),
        dbeta(1, 1, 1, s.c) {
    x.random(11, -1.0, 2.0);
    dy.random(12);
    gamma.random(13, 0.5, 1.5);
    beta.random(14, -0.5, 0.5);
    reset_running();
  }
  void reset_running() {
    running_mean.random(15);
    running_var.random(16, 0.5, 2.0);
  }
  Reference reference(bool relu) const {
    return {x.doubles(), gamma.elems(), gamma.doubles(), beta.doubles(), relu};
  }
  /// As forward would have saved them.
  void save(const Reference& reference) {
    for (std::int64_t i = 0; i < gamma.elems(); ++i) {
      saved_mean.at(0, i) = static_cast<T>(reference.mean[static_cast<std::size_t>(i)]);
      saved_invstd.at(0, i) = static_cast<T>(reference.invstd[static_cast<std::size_t>(i)]);
    }
  }
  BatchNormForwardArgs forward(bool relu) {
    return {.x = x.view(),
            .y = y.view(),
            .gamma = gamma.data(),
            .beta = beta.data(),
            .running_mean = running_mean.data(),
            .running_var = running_var.data(),
            .saved_mean = saved_mean.data(),
            .saved_invstd = saved_invstd.data(),
            .relu = relu};
  }
  BatchNormBackwardArgs backward(bool relu) {
    return {.x = x.view(),
            .dy = dy.view(),
            .dx = dx.view(),
            .gamma = gamma.data(),
            .beta = beta.data(),
            .saved_mean = saved_mean.data(),
            .saved_invstd = saved_invstd.data(),
            .dgamma = dgamma.data(),
            .dbeta = dbeta.data(),
            .relu = relu};
  }
  BatchNormInferenceArgs inference(bool relu) {
    return {.x = x.view(),
            .y = y.view(),
            .gamma = gamma.data(),
            .beta = beta.data(),
            .running_mean = running_mean.data(),
            .running_var = running_var.data(),
            .relu = relu};
  }
  void poison_outputs() {
    for (Operand<T>* out : {&y, &dx, &saved_mean, &saved_invstd, &dgamma, &dbeta}) out->poison();
  }

  Operand<T> x, y, dy, dx;
  Operand<T> gamma, beta, running_mean, running_var, saved_mean, saved_invstd, dgamma, dbeta;
};

template <typename T>
constexpr double kEps = static_cast<double>(std::numeric_limits<T>::epsilon());

#define MSD_RETURN_IF_FAILED(expression) \
  if (AssertionResult result_ = (expression); !result_) return result_

template <typename T>
AssertionResult forward_matches(Problem<T>& p, bool relu, ExecutionContext& context,
                                Outputs& outputs) {
  p.reset_running();
  const std::vector<double> old_mean = p.running_mean.doubles(), old_var = p.running_var.doubles();
  p.poison_outputs();
  const BatchNormForwardArgs args = p.forward(relu);
  batchnorm_forward(context, {&args, 1});
  outputs.keep("y", p.y);
  outputs.keep("saved_mean", p.saved_mean);
  outputs.keep("saved_invstd", p.saved_invstd);
  outputs.keep("running_mean", p.running_mean);
  outputs.keep("running_var", p.running_var);
  const Reference r = p.reference(relu);
  std::vector<double> running_mean, running_var;
  const auto rows = static_cast<double>(r.rows);
  for (std::size_t i = 0; i < r.mean.size(); ++i) {
    running_mean.push_back(0.9 * old_mean[i] + 0.1 * r.mean[i]);
    running_var.push_back(0.9 * old_var[i] + 0.1 * r.variance[i] * rows / (rows - 1.0));
  }
  // x, mean, gamma and beta are below 2: each rounding is below 2*eps, of which the ones before
  // the multiplication are magnified by invstd. 8 covers the roundings on the way.
  const Tolerance y_tolerance{8.0 * kEps<T> * r.magnification(), 4.0 * kEps<T>};
  const Tolerance statistic{4.0 * kEps<T>, 16.0 * kEps<T>};
  MSD_RETURN_IF_FAILED(compare("y", p.y, r.y, y_tolerance));
  MSD_RETURN_IF_FAILED(compare("saved_mean", p.saved_mean, r.mean, statistic));
  MSD_RETURN_IF_FAILED(compare("saved_invstd", p.saved_invstd, r.invstd, statistic));
  MSD_RETURN_IF_FAILED(compare("running_mean", p.running_mean, running_mean, statistic));
  MSD_RETURN_IF_FAILED(compare("running_var", p.running_var, running_var, statistic));
  return p.x.intact();
}

template <typename T>
class BatchnormForward : public OpTest {};
TYPED_TEST_SUITE(BatchnormForward, FloatTypes);

TYPED_TEST(BatchnormForward, MatchesTheReference) {
  for (const Shape& shape : kShapes) {
    for (const Gap gap : kGaps) {
      for (const bool relu : {true, false}) {
        Problem<TypeParam> p(shape, gap);
        EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
          return forward_matches(p, relu, context, outputs);
        })) << describe(shape, gap, relu);
      }
    }
  }
}

TYPED_TEST(BatchnormForward, IsExactOnIntegers) {
  // 256 rows of small integers: every sum is exact, so the statistics are the nearest values.
  Problem<TypeParam> p({4, 8, 8, 12}, {1, 3});
  p.x.integers(31, -8, 8);
  const Reference r = p.reference(false);
  std::vector<double> mean, invstd;
  for (const double m : r.mean) mean.push_back(static_cast<double>(static_cast<TypeParam>(m)));
  for (const double s : r.invstd) invstd.push_back(static_cast<double>(static_cast<TypeParam>(s)));
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
    p.poison_outputs();
    const BatchNormForwardArgs args = p.forward(true);
    batchnorm_forward(context, {&args, 1});
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
  const Reference r = p.reference(false);
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
    p.poison_outputs();
    const BatchNormForwardArgs args = p.forward(false);
    batchnorm_forward(context, {&args, 1});
    outputs.keep("saved_invstd", p.saved_invstd);
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
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
    p.poison_outputs();
    const BatchNormForwardArgs args = p.forward(true);
    batchnorm_forward(context, {&args, 1});
    MSD_RETURN_IF_FAILED(compare("saved_invstd", p.saved_invstd,
                                 std::vector<double>(6, 1.0 / std::sqrt(kEpsilon)),
                                 {0.0, kEps<TypeParam>}));
    return compare("y", p.y, beta, {});
  }));
}

TYPED_TEST(BatchnormForward, MomentumZeroKeepsAndOneReplaces) {
  for (const double momentum : {0.0, 1.0}) {
    Problem<TypeParam> p({2, 3, 3, 5});
    const Reference r = p.reference(true);
    const std::vector<double> old = p.running_mean.doubles();
    BatchNormForwardArgs args = p.forward(true);
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
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
    p.poison_outputs();
    const BatchNormForwardArgs args = p.forward(true);
    batchnorm_forward(context, {&args, 1});
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
  std::vector<std::unique_ptr<Problem<TypeParam>>> alone, together;
  for (int i = 0; i < 70; ++i) {
    const Shape shape = i % 10 == 9 ? Shape{2, 32, 40, 30} : Shape{1, 1 + i % 4, 3, 1 + i % 19};
    alone.push_back(std::make_unique<Problem<TypeParam>>(shape));
    together.push_back(std::make_unique<Problem<TypeParam>>(shape));
  }
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
    std::vector<BatchNormForwardArgs> group;
    for (auto& p : together) {
      p->reset_running();
      p->poison_outputs();
      group.push_back(p->forward(true));
    }
    batchnorm_forward(context, group);
    for (std::size_t i = 0; i < alone.size(); ++i) {
      Outputs outputs;
      MSD_RETURN_IF_FAILED(forward_matches(*alone[i], true, context, outputs));
      if (alone[i]->y.values() != together[i]->y.values() ||
          alone[i]->running_var.values() != together[i]->running_var.values()) {
        return testing::AssertionFailure() << "problem " << i << " differs within a group";
      }
    }
    return AssertionSuccess();
  }));
}

TYPED_TEST(BatchnormForward, SlicesOfOneBufferMayInterleave) {
  Problem<TypeParam> p({3, 5, 5, 6});
  Operand<TypeParam> buffer(3, 5, 5, 20, {1, 1});
  buffer.random(41);
  const Reference r(
      [&] {
        std::vector<double> x;
        for (std::int64_t row = 0; row < buffer.rows(); ++row) {
          for (std::int64_t i = 7; i < 13; ++i) x.push_back(static_cast<double>(buffer.at(row, i)));
        }
        return x;
      }(),
      6, p.gamma.doubles(), p.beta.doubles(), true);
  std::vector<double> expected = buffer.doubles();
  for (std::int64_t row = 0; row < buffer.rows(); ++row) {
    for (std::int64_t i = 0; i < 6; ++i) {
      expected[static_cast<std::size_t>(row * 20 + 13 + i)] =
          r.y[static_cast<std::size_t>(row * 6 + i)];
    }
  }
  BatchNormForwardArgs args = p.forward(true);
  args.x = buffer.view().channels(7, 6);
  args.y = buffer.view().channels(13, 6);
  ExecutionContext context = any_context();
  batchnorm_forward(context, {&args, 1});
  EXPECT_TRUE(compare("buffer", buffer, expected, {8.0 * kEps<TypeParam> * r.magnification(), 0}));
}

TYPED_TEST(BatchnormForward, RejectsWhatTheContractForbids) {
  Problem<TypeParam> p({2, 3, 3, 5});
  const auto reject = [&](auto change) {
    return rejects(batchnorm_forward, "batchnorm_forward", p.forward(true), change);
  };
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

template <typename T>
class BatchnormBackward : public OpTest {};
TYPED_TEST_SUITE(BatchnormBackward, FloatTypes);

/// The formulas of the contract in double.
struct Gradients {
  Gradients(const Reference& r, const std::vector<double>& x, const std::vector<double>& dy,
            const std::vector<double>& gamma, bool relu)
      : dx(x.size()), dgamma(gamma.size()), dbeta(gamma.size()) {
    const std::size_t c = gamma.size();
    const auto rows = static_cast<double>(r.rows);
    std::vector<double> g(x.size()), xhat(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      g[i] = relu && !(r.value[i] > 0.0) ? 0.0 : dy[i];
      xhat[i] = (x[i] - r.mean[i % c]) * r.invstd[i % c];
      dbeta[i % c] += g[i];
      dgamma[i % c] += g[i] * xhat[i];
    }
    for (std::size_t i = 0; i < x.size(); ++i) {
      dx[i] = gamma[i % c] * r.invstd[i % c] *
              (g[i] - dbeta[i % c] / rows - xhat[i] * dgamma[i % c] / rows);
    }
  }
  std::vector<double> dx, dgamma, dbeta;
};

/// Moves x where the reference is too near the kink for the op to agree on its side.
template <typename T>
void leave_kinks(Problem<T>& p) {
  for (int attempt = 0; attempt < 100; ++attempt) {
    const Reference r = p.reference(true);
    bool moved = false;
    for (std::size_t i = 0; i < r.value.size(); ++i) {
      if (std::abs(r.value[i]) > 1e-3) continue;
      const auto c = static_cast<std::size_t>(p.gamma.elems());
      p.x.at(static_cast<std::int64_t>(i / c), static_cast<std::int64_t>(i % c)) += T(0.05);
      moved = true;
    }
    if (!moved) return;
  }
  FAIL() << "x stays near the kink";
}

TYPED_TEST(BatchnormBackward, MatchesTheReference) {
  for (const Shape& shape : kShapes) {
    for (const Gap gap : kGaps) {
      for (const bool relu : {true, false}) {
        Problem<TypeParam> p(shape, gap);
        leave_kinks(p);
        const Reference r = p.reference(relu);
        p.save(r);
        const Gradients g(r, p.x.doubles(), p.dy.doubles(), p.gamma.doubles(), relu);
        // Sums of `rows` terms; dx has the roundings of d and of both means, times scale.
        const double magnification = r.magnification();
        const Tolerance sums = sum_tolerance<TypeParam>(shape.rows(), 2.0 + magnification);
        const Tolerance dx_tolerance{
            16.0 * kEps<TypeParam> * magnification * (1.0 + magnification * kEps<TypeParam>),
            16.0 * kEps<TypeParam>};
        EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
          for (auto* out : {&p.dx, &p.dgamma, &p.dbeta}) out->poison();
          const BatchNormBackwardArgs args = p.backward(relu);
          batchnorm_backward(context, {&args, 1});
          outputs.keep("dx", p.dx);
          outputs.keep("dgamma", p.dgamma);
          outputs.keep("dbeta", p.dbeta);
          MSD_RETURN_IF_FAILED(compare("dbeta", p.dbeta, g.dbeta, sums));
          MSD_RETURN_IF_FAILED(compare("dgamma", p.dgamma, g.dgamma, sums));
          MSD_RETURN_IF_FAILED(compare("dx", p.dx, g.dx, dx_tolerance));
          return p.dy.intact();
        })) << describe(shape, gap, relu);
      }
    }
  }
}

TYPED_TEST(BatchnormBackward, MatchesCentralDifferencesOfForward) {
  for (const bool relu : {true, false}) {
    Problem<TypeParam> p({2, 3, 2, 5}, {1, 2});
    leave_kinks(p);
    p.save(p.reference(relu));
    const std::vector<double> x = p.x.doubles(), dy = p.dy.doubles();
    const std::vector<double> gamma = p.gamma.doubles(), beta = p.beta.doubles();
    const auto loss = [&](const Reference& r) {
      double sum = 0.0;
      for (std::size_t i = 0; i < dy.size(); ++i) sum += dy[i] * r.y[i];
      return sum;
    };
    const auto dx = central_differences(
        [&](const auto& at) { return loss(Reference(at, 5, gamma, beta, relu)); }, x);
    const auto dgamma = central_differences(
        [&](const auto& at) { return loss(Reference(x, 5, at, beta, relu)); }, gamma);
    const auto dbeta = central_differences(
        [&](const auto& at) { return loss(Reference(x, 5, gamma, at, relu)); }, beta);
    // Differences: step^2 times the third derivative and 1e-16/step, together below 1e-8.
    const Tolerance tolerance{1e-8 + 100.0 * kEps<TypeParam>, 0.0};
    EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
      for (auto* out : {&p.dx, &p.dgamma, &p.dbeta}) out->poison();
      const BatchNormBackwardArgs args = p.backward(relu);
      batchnorm_backward(context, {&args, 1});
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
    EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
      p.poison_outputs();
      p.beta.fill(TypeParam{0});
      const BatchNormForwardArgs plain = p.forward(false);
      batchnorm_forward(context, {&plain, 1});
      // beta such that an x of 1 lands on the kink, give or take a rounding.
      for (std::int64_t i = 0; i < shape.c; ++i) {
        p.beta.at(0, i) =
            -(TypeParam{1} - p.saved_mean.at(0, i)) * (p.gamma.at(0, i) * p.saved_invstd.at(0, i));
      }
      p.poison_outputs();
      const BatchNormForwardArgs forward = p.forward(true);
      batchnorm_forward(context, {&forward, 1});
      std::vector<double> positive(static_cast<std::size_t>(shape.c));
      for (std::int64_t row = 0; row < p.y.rows(); ++row) {
        for (std::int64_t i = 0; i < shape.c; ++i) {
          positive[static_cast<std::size_t>(i)] += p.y.at(row, i) > TypeParam{0};
        }
      }
      const BatchNormBackwardArgs backward = p.backward(true);
      batchnorm_backward(context, {&backward, 1});
      return compare("dbeta", p.dbeta, positive, {});
    }));
  }
}

TYPED_TEST(BatchnormBackward, InputGradientMayReplaceEitherOperand) {
  const Shape shape{3, 7, 9, 17};
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
    Problem<TypeParam> apart(shape, {2, 1}), over_dy(shape, {2, 1}), over_x(shape, {2, 1});
    for (auto* p : {&apart, &over_dy, &over_x}) p->save(p->reference(true));
    BatchNormBackwardArgs args[] = {apart.backward(true), over_dy.backward(true),
                                    over_x.backward(true)};
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
  const BatchNormBackwardArgs args = p.backward(true);
  ExecutionContext context = any_context();
  batchnorm_backward(context, {&args, 1});
  EXPECT_TRUE(compare("dgamma", p.dgamma, std::vector<double>(5), {}));
  EXPECT_TRUE(compare("dbeta", p.dbeta, std::vector<double>(5), {}));
}

TYPED_TEST(BatchnormBackward, RejectsWhatTheContractForbids) {
  Problem<TypeParam> p({2, 3, 3, 5}, {1, 1});
  const auto reject = [&](auto change) {
    return rejects(batchnorm_backward, "batchnorm_backward", p.backward(true), change);
  };
  EXPECT_TRUE(reject([](auto& a) { a.dy.h = 2; }));
  EXPECT_TRUE(reject([](auto& a) { a.dx.c = 4; }));
  EXPECT_TRUE(reject([&](auto& a) { a.dx.data = p.x.data() + 1; }));
  EXPECT_TRUE(reject([&](auto& a) { a.dx.data = p.dy.data() - 1; }));
  EXPECT_TRUE(reject([](auto& a) { a.beta = nullptr; }));
  EXPECT_TRUE(reject([](auto& a) { a.dgamma = nullptr; }));
  EXPECT_TRUE(bf16_has_bodies() ||
              reject([](auto& a) { a.x.dtype = a.dy.dtype = a.dx.dtype = DType::bf16; }));
}

template <typename T>
class BatchnormInference : public OpTest {};
TYPED_TEST_SUITE(BatchnormInference, FloatTypes);

template <typename T>
std::vector<double> evaluate(const Problem<T>& p, bool relu) {
  std::vector<double> y = p.x.doubles();
  const std::vector<double> gamma = p.gamma.doubles(), beta = p.beta.doubles();
  const std::vector<double> mean = p.running_mean.doubles(), variance = p.running_var.doubles();
  for (std::size_t i = 0; i < y.size(); ++i) {
    const std::size_t c = i % gamma.size();
    y[i] = gamma[c] * (y[i] - mean[c]) / std::sqrt(variance[c] + kEpsilon) + beta[c];
    if (relu && y[i] < 0.0) y[i] = 0.0;
  }
  return y;
}

TYPED_TEST(BatchnormInference, MatchesTheReference) {
  for (const Shape& shape : kShapes) {
    for (const Gap gap : kGaps) {
      for (const bool relu : {true, false}) {
        Problem<TypeParam> p(shape, gap);
        const std::vector<double> expected = evaluate(p, relu);
        EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
          p.y.poison();
          const BatchNormInferenceArgs args = p.inference(relu);
          batchnorm_inference(context, {&args, 1});
          outputs.keep("y", p.y);
          // Values below 5 and three roundings of them.
          return compare("y", p.y, expected, {16.0 * kEps<TypeParam>, 4.0 * kEps<TypeParam>});
        })) << describe(shape, gap, relu);
      }
    }
  }
}

TYPED_TEST(BatchnormInference, MayRunInPlaceAndOnNothing) {
  Problem<TypeParam> p({2, 5, 5, 7}, {3, 2});
  const std::vector<double> expected = evaluate(p, true);
  BatchNormInferenceArgs args = p.inference(true);
  args.y = p.x.view();
  ExecutionContext context = any_context(2);
  batchnorm_inference(context, {&args, 1});
  EXPECT_TRUE(compare("x", p.x, expected, {16.0 * kEps<TypeParam>, 4.0 * kEps<TypeParam>}));

  Problem<TypeParam> empty({0, 5, 5, 7});
  const BatchNormInferenceArgs nothing = empty.inference(true);
  batchnorm_inference(context, {&nothing, 1});
  EXPECT_TRUE(empty.y.written());
  batchnorm_inference(context, {});
}

TYPED_TEST(BatchnormInference, IsBatchInvariant) {
  Problem<TypeParam> p({5, 7, 7, 12});
  ExecutionContext context = any_context();
  const BatchNormInferenceArgs all = p.inference(true);
  batchnorm_inference(context, {&all, 1});
  const std::vector<TypeParam> together = p.y.values();
  p.y.poison();
  for (std::int64_t image = 0; image < 5; ++image) {
    BatchNormInferenceArgs one = all;
    one.x.n = one.y.n = 1;
    one.x.data = p.x.data() + image * 49 * 12;
    one.y.data = p.y.data() + image * 49 * 12;
    batchnorm_inference(context, {&one, 1});
  }
  EXPECT_EQ(p.y.values(), together);
}

TYPED_TEST(BatchnormInference, RejectsWhatTheContractForbids) {
  Problem<TypeParam> p({2, 3, 3, 5}, {1, 1});
  const auto reject = [&](auto change) {
    return rejects(batchnorm_inference, "batchnorm_inference", p.inference(true), change);
  };
  EXPECT_TRUE(reject([](auto& a) { a.y.w = 2; }));
  EXPECT_TRUE(reject([&](auto& a) { a.y.data = p.x.data() + 1; }));
  EXPECT_TRUE(reject([](auto& a) { a.running_var = nullptr; }));
  EXPECT_TRUE(bf16_has_bodies() || reject([](auto& a) { a.x.dtype = a.y.dtype = DType::bf16; }));
}

}  // namespace
}  // namespace msd::test
