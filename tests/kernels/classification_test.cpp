// SPDX-License-Identifier: MIT
#include <cmath>
#include <vector>

#include "tests/kernels/call_runs.h"
#include "tests/kernels/calls/classification.h"

namespace msd::test {
namespace {

using testing::AssertionResult;
using testing::AssertionSuccess;

using Shape = calls::LogitsShape;
const Shape kShapes[] = {{1, 1}, {1, 2}, {3, 5}, {7, 10}, {17, 6}, {64, 10}, {9, 130}, {2, 1000}};
const Gap kGaps[] = {{0, 0}, {3, 2}};
constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <typename T>
double eps() {
  return static_cast<double>(std::numeric_limits<T>::epsilon());
}

template <typename T>
class SoftmaxCrossEntropy : public OpTest {};
TYPED_TEST_SUITE(SoftmaxCrossEntropy, FloatTypes);

template <typename T>
using LossProblem = calls::SoftmaxCrossEntropy<Guarded<T>>;

// More rows than a block has threads to add their losses with.
TYPED_TEST(SoftmaxCrossEntropy, AddsTheLossesOfManyRows) {
  LossProblem<TypeParam> p({700, 2});
  const std::vector<double> loss = p.expected_loss();
  EXPECT_TRUE(always(p, [&] {
    // Losses below 11, each with the error of its exponentials.
    return compare("loss", p.loss, loss, {20 * eps<TypeParam>(), 0.0});
  }));
}

TYPED_TEST(SoftmaxCrossEntropy, MatchesTheReference) {
  for (const Shape& shape : kShapes) {
    for (const Gap gap : kGaps) {
      for (const double weight : {1.0, 0.25}) {
        LossProblem<TypeParam> p(shape, gap);
        p.weight = weight;
        const std::vector<double> loss = p.expected_loss();
        const std::vector<double> gradient =
            cross_entropy_gradient(shape, p.logits.doubles(), p.labels.doubles(), weight);
        // z - max, below 10, is rounded before exp: 10 eps; exp and the division add a few. What
        // remains of p - 1 near the label has that of 1.
        const double scale = weight / static_cast<double>(shape.n);
        EXPECT_TRUE(always(p, [&] {
          MSD_RETURN_IF_FAILED(
              compare("loss", p.loss, loss, {16.0 * eps<TypeParam>(), 4.0 * eps<TypeParam>()}));
          return compare("dlogits", p.result, gradient,
                         {16.0 * eps<TypeParam>() * scale, 16.0 * eps<TypeParam>()});
        })) << shape.text();
      }
    }
  }
}

TYPED_TEST(SoftmaxCrossEntropy, GradientMatchesCentralDifferences) {
  const Shape shape{3, 7};
  LossProblem<TypeParam> p(shape);
  p.weight = 0.5;
  const auto expected = central_differences(
      [&](const auto& z) { return 0.5 * mean_cross_entropy(shape, z, p.labels.doubles()); },
      p.logits.doubles());
  for (ExecutionContext& context : every_context()) {
    calls::run(context, p);
    EXPECT_TRUE(compare("dlogits", p.result, expected, {1e-9 + 8.0 * eps<TypeParam>(), 0.0}));
  }
}

TYPED_TEST(SoftmaxCrossEntropy, LossAloneAndInPlaceAgree) {
  EXPECT_TRUE(on_every_backend([](ExecutionContext& context, Outputs&) {
    LossProblem<TypeParam> apart({13, 10}), alone({13, 10}), in_place({13, 10}, {2, 1});
    SoftmaxCrossEntropyArgs group[] = {apart.args(), alone.args(), in_place.args()};
    group[1].dlogits = {};
    group[2].dlogits = in_place.logits.view();
    softmax_cross_entropy(context, group);
    if (alone.loss.values() != apart.loss.values() ||
        in_place.loss.values() != apart.loss.values()) {
      return testing::AssertionFailure() << "losses differ";
    }
    if (in_place.logits.values() != apart.result.values()) {
      return testing::AssertionFailure() << "gradients differ";
    }
    return in_place.logits.intact();
  }));
}

TYPED_TEST(SoftmaxCrossEntropy, SurvivesLargeLogits) {
  LossProblem<TypeParam> p({2, 3});
  p.logits.set(std::vector<TypeParam>{1000, 0, -1000, -1000, 0, 1000});
  p.labels.set(std::vector<std::int32_t>{0, 1});
  for (ExecutionContext& context : every_context()) {
    calls::run(context, p);
    EXPECT_TRUE(compare("loss", p.loss, std::vector{500.0}, {}));
    EXPECT_TRUE(compare("dlogits", p.result, std::vector{0.0, 0.0, 0.0, 0.0, -0.5, 0.5}, {}));
  }
}

TYPED_TEST(SoftmaxCrossEntropy, NaNReachesTheLoss) {
  LossProblem<TypeParam> p({5, 4});
  p.logits.at(3, 2) = std::numeric_limits<TypeParam>::quiet_NaN();
  for (ExecutionContext& context : every_context()) {
    calls::run(context, p);
    EXPECT_TRUE(std::isnan(p.loss.at(0, 0)));
    EXPECT_TRUE(std::isnan(p.result.at(3, 0)));
    EXPECT_FALSE(std::isnan(p.result.at(2, 0)));
  }
}

TYPED_TEST(SoftmaxCrossEntropy, RejectsWhatTheContractForbids) {
  LossProblem<TypeParam> p({4, 6});
  const auto reject = rejector(p);
  EXPECT_TRUE(reject([](auto& a) { a.logits.n = a.dlogits.n = 0; }));
  EXPECT_TRUE(reject([](auto& a) { a.dlogits.c = 5; }));
  EXPECT_TRUE(reject([](auto& a) { a.labels = nullptr; }));
  EXPECT_TRUE(reject([](auto& a) { a.loss = nullptr; }));
  EXPECT_TRUE(bf16_has_bodies() ||
              reject([](auto& a) { a.logits.dtype = a.dlogits.dtype = DType::bf16; }));
}

TYPED_TEST(SoftmaxCrossEntropy, LabelsOutsideThrowOrGiveNaN) {
  for (const std::int32_t label : {-1, 6, 1 << 30, std::numeric_limits<std::int32_t>::min()}) {
    LossProblem<TypeParam> p({4, 6});
    p.labels.at(0, 2) = label;
    for (ExecutionContext& context : every_context()) {
      if (context.device == DeviceType::cpu) {
        try {
          calls::run(context, p);
          ADD_FAILURE() << "label " << label << " passed";
        } catch (const ShapeError& error) {
          EXPECT_NE(std::string(error.what()).find("sample 2"), std::string::npos) << error.what();
        }
        continue;
      }
      calls::run(context, p);
      EXPECT_TRUE(std::isnan(p.loss.at(0, 0))) << label;
      EXPECT_TRUE(p.loss.written());
      EXPECT_TRUE(p.result.written());
      for (std::int64_t i = 0; i < p.result.elems(); ++i) {
        EXPECT_EQ(std::isnan(p.result.data()[i]), i / 6 == 2) << label << " at " << i;
      }
    }
  }
}

template <typename T>
class SoftmaxConfidence : public OpTest {};
TYPED_TEST_SUITE(SoftmaxConfidence, FloatTypes);

template <typename T>
using ConfidenceProblem = calls::SoftmaxConfidence<Guarded<T>>;

template <typename T>
AssertionResult matches(ConfidenceProblem<T>& p) {
  const calls::Confidences expected = p.expected();
  // As for the loss: 10 eps from z - max, a few more; the entropy adds up the errors of p.
  const Tolerance relative{0.0, 16.0 * eps<T>()};
  const Tolerance sums{16.0 * eps<T>(), 16.0 * eps<T>()};
  return always(p, [&] {
    MSD_RETURN_IF_FAILED(compare("probabilities", p.result, expected.probabilities, relative));
    MSD_RETURN_IF_FAILED(compare("max", p.max, expected.max, relative));
    MSD_RETURN_IF_FAILED(compare("second", p.second, expected.second, relative));
    MSD_RETURN_IF_FAILED(compare("entropy", p.entropy, expected.entropy, sums));
    MSD_RETURN_IF_FAILED(compare("argmax", p.argmax, expected.argmax, {}));
    MSD_RETURN_IF_FAILED(compare("top5", p.top5, expected.top5, {}));
    return p.logits.intact();
  });
}

TYPED_TEST(SoftmaxConfidence, MatchesTheReference) {
  for (const Shape& shape : kShapes) {
    for (const Gap gap : kGaps) {
      ConfidenceProblem<TypeParam> p(shape, gap);
      EXPECT_TRUE(matches(p)) << shape.text();
    }
  }
}

TYPED_TEST(SoftmaxConfidence, TiesGoToTheLowestIndex) {
  for (const Shape& shape : {Shape{33, 4}, Shape{33, 10}, Shape{5, 100}}) {
    ConfidenceProblem<TypeParam> p(shape);
    p.logits.integers(7, 0, 2);
    EXPECT_TRUE(matches(p)) << shape.text();
  }
}

TYPED_TEST(SoftmaxConfidence, EqualLogitsHaveTheEntropyOfLnClasses) {
  ConfidenceProblem<TypeParam> p({1, 8});
  p.logits.fill(TypeParam{3});
  EXPECT_TRUE(matches(p));
  EXPECT_TRUE(always(p, [&] {
    EXPECT_EQ(p.max.at(0, 0), TypeParam{0.125});
    EXPECT_EQ(p.second.at(0, 0), TypeParam{0.125});
    EXPECT_EQ(p.entropy.at(0, 0), static_cast<TypeParam>(std::log(8.0)));
    return AssertionSuccess();
  }));
}

TYPED_TEST(SoftmaxConfidence, ImpossibleClassesCountNothing) {
  ConfidenceProblem<TypeParam> p({1, 4});
  p.logits.set(std::vector<TypeParam>{static_cast<TypeParam>(-kInfinity), 0, -10000,
                                      static_cast<TypeParam>(-kInfinity)});
  EXPECT_TRUE(matches(p));
  EXPECT_TRUE(always(p, [&] {
    EXPECT_EQ(p.entropy.at(0, 0), TypeParam{0});
    EXPECT_EQ(p.top5.values(), (std::vector<std::int32_t>{1, 2, 0, 3, -1}));
    return AssertionSuccess();
  }));
}

TYPED_TEST(SoftmaxConfidence, NaNGivesNaNAndClassZeroInItsRow) {
  for (const std::int64_t where : {0, 4, 6}) {
    ConfidenceProblem<TypeParam> p({3, 7});
    p.logits.at(1, where) = std::numeric_limits<TypeParam>::quiet_NaN();
    EXPECT_TRUE(always(p, [&] {
      for (std::int64_t row = 0; row < 3; ++row) {
        bool nan = std::isnan(p.max.at(0, row)) && std::isnan(p.second.at(0, row)) &&
                   std::isnan(p.entropy.at(0, row)) && p.argmax.at(0, row) == 0 &&
                   p.top5.at(0, 5 * row) == 0;
        for (std::int64_t i = 0; i < 7; ++i) nan &= std::isnan(p.result.at(row, i));
        if (nan != (row == 1)) return testing::AssertionFailure() << "row " << row;
      }
      if (AssertionResult result = p.top5.written(); !result) return result;
      return p.result.written();
    }));
  }
}

TYPED_TEST(SoftmaxConfidence, IsBatchInvariant) {
  const Shape shape{21, 100};
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
    ConfidenceProblem<TypeParam> p(shape), one({1, 100});
    calls::run(context, p);
    for (std::int64_t row = 0; row < shape.n; ++row) {
      for (std::int64_t i = 0; i < 100; ++i) one.logits.at(0, i) = p.logits.at(row, i);
      calls::run(context, one);
      bool same = one.max.at(0, 0) == p.max.at(0, row) &&
                  one.second.at(0, 0) == p.second.at(0, row) &&
                  one.entropy.at(0, 0) == p.entropy.at(0, row);
      for (std::int64_t i = 0; i < 100; ++i) {
        same &= one.result.at(0, i) == p.result.at(row, i);
      }
      if (!same) return testing::AssertionFailure() << "row " << row << " has other bits alone";
    }
    return AssertionSuccess();
  }));
}

TYPED_TEST(SoftmaxConfidence, EveryOutputIsOptionalAndProbabilitiesMayReplaceLogits) {
  ExecutionContext context = any_context(2);
  ConfidenceProblem<TypeParam> p({11, 10});
  calls::run(context, p);
  for (int keep = 0; keep < 7; ++keep) {
    ConfidenceProblem<TypeParam> q({11, 10});
    SoftmaxConfidenceArgs args;
    args.logits = q.logits.view();
    if (keep == 1) args.probabilities = q.logits.view();
    if (keep == 2) args.max = q.max.data();
    if (keep == 3) args.second = q.second.data();
    if (keep == 4) args.entropy = q.entropy.data();
    if (keep == 5) args.argmax = q.argmax.data();
    if (keep == 6) args.top5 = q.top5.data();
    softmax_confidence(context, {&args, 1});
    EXPECT_EQ(keep == 1, q.logits.values() == p.result.values()) << keep;
    EXPECT_EQ(keep == 2, q.max.values() == p.max.values()) << keep;
    EXPECT_EQ(keep == 3, q.second.values() == p.second.values()) << keep;
    EXPECT_EQ(keep == 4, q.entropy.values() == p.entropy.values()) << keep;
    EXPECT_EQ(keep == 5, q.argmax.values() == p.argmax.values()) << keep;
    EXPECT_EQ(keep == 6, q.top5.values() == p.top5.values()) << keep;
  }
  ConfidenceProblem<TypeParam> empty({0, 10});
  calls::run(context, empty);
}

TYPED_TEST(SoftmaxConfidence, RejectsWhatTheContractForbids) {
  ConfidenceProblem<TypeParam> p({4, 6});
  const auto reject = rejector(p);
  EXPECT_TRUE(reject([](auto& a) { a.logits.c = a.probabilities.c = 0; }));
  EXPECT_TRUE(reject([](auto& a) { a.probabilities.n = 3; }));
  EXPECT_TRUE(bf16_has_bodies() ||
              reject([](auto& a) { a.logits.dtype = a.probabilities.dtype = DType::bf16; }));
}

}  // namespace
}  // namespace msd::test
