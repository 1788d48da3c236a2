// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <numeric>

#include "tests/kernels/op_harness.h"

namespace msd::test {
namespace {

using testing::AssertionResult;
using testing::AssertionSuccess;

struct Shape {
  std::int64_t n, classes;
};
const Shape kShapes[] = {{1, 1}, {1, 2}, {3, 5}, {7, 10}, {17, 6}, {64, 10}, {9, 130}, {2, 1000}};
const Gap kGaps[] = {{0, 0}, {3, 2}};
constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::string describe(const Shape& s) { return message(s.n, " x ", s.classes, " classes"); }

/// A row's softmax in double and what follows from it.
struct Row {
  explicit Row(const std::vector<double>& z) : p(z.size()), order(z.size()) {
    const double max = *std::max_element(z.begin(), z.end());
    double sum = 0.0;
    for (const double v : z) sum += std::exp(v - max);
    lse = max + std::log(sum);
    entropy = 0.0;
    for (std::size_t i = 0; i < z.size(); ++i) {
      p[i] = std::exp(z[i] - lse);
      if (p[i] > 0.0) entropy -= p[i] * (z[i] - lse);
    }
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
      return z[static_cast<std::size_t>(a)] > z[static_cast<std::size_t>(b)];
    });
  }
  std::vector<double> p;
  std::vector<int> order;  // falling, equals by rising index
  double lse, entropy;
};

template <typename T>
std::vector<double> row_of(const Operand<T>& logits, std::int64_t row, std::int64_t classes) {
  std::vector<double> z;
  for (std::int64_t i = 0; i < classes; ++i) z.push_back(static_cast<double>(logits.at(row, i)));
  return z;
}

template <typename T>
double eps() {
  return static_cast<double>(std::numeric_limits<T>::epsilon());
}

template <typename T>
class SoftmaxCrossEntropy : public OpTest {};
TYPED_TEST_SUITE(SoftmaxCrossEntropy, FloatTypes);

template <typename T>
struct LossProblem {
  explicit LossProblem(const Shape& s, Gap gap = {})
      : shape(s),
        logits(s.n, 1, 1, s.classes, gap),
        dlogits(s.n, 1, 1, s.classes, {gap.after, gap.before}),
        loss(1, 1, 1, 1),
        labels(1, 1, 1, s.n) {
    logits.random(1, -5.0, 5.0);
    labels.integers(2, 0, s.classes - 1);
  }
  SoftmaxCrossEntropyArgs args(double weight = 1.0) {
    return {logits.view(), labels.data(), weight, loss.data(), dlogits.view()};
  }
  double reference_loss(const std::vector<double>& z) const {
    double sum = 0.0;
    const auto classes = static_cast<std::size_t>(shape.classes);
    for (std::int64_t i = 0; i < shape.n; ++i) {
      const auto begin = z.begin() + i * shape.classes;
      const Row row(std::vector<double>(begin, begin + shape.classes));
      sum += row.lse -
             z[static_cast<std::size_t>(i) * classes + static_cast<std::size_t>(labels.at(0, i))];
    }
    return sum / static_cast<double>(shape.n);
  }
  Shape shape;
  Operand<T> logits, dlogits, loss;
  Operand<std::int32_t> labels;
};

// More rows than a block has threads to add their losses with.
TYPED_TEST(SoftmaxCrossEntropy, AddsTheLossesOfManyRows) {
  LossProblem<TypeParam> p({700, 2});
  const double loss = p.reference_loss(p.logits.doubles());
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
    p.dlogits.poison();
    p.loss.poison();
    const SoftmaxCrossEntropyArgs args = p.args();
    softmax_cross_entropy(context, {&args, 1});
    outputs.keep("loss", p.loss);
    // Losses below 11, each with the error of its exponentials.
    return compare("loss", p.loss, std::vector<double>{loss}, {20 * eps<TypeParam>(), 0.0});
  }));
}

TYPED_TEST(SoftmaxCrossEntropy, MatchesTheReference) {
  for (const Shape& shape : kShapes) {
    for (const Gap gap : kGaps) {
      for (const double weight : {1.0, 0.25}) {
        LossProblem<TypeParam> p(shape, gap);
        const double loss = p.reference_loss(p.logits.doubles());
        std::vector<double> gradient;
        for (std::int64_t i = 0; i < shape.n; ++i) {
          Row row(row_of(p.logits, i, shape.classes));
          row.p[static_cast<std::size_t>(p.labels.at(0, i))] -= 1.0;
          for (const double g : row.p)
            gradient.push_back(weight / static_cast<double>(shape.n) * g);
        }
        // z - max, below 10, is rounded before exp: 10 eps; exp and the division add a few. What
        // remains of p - 1 near the label has that of 1.
        const double scale = weight / static_cast<double>(shape.n);
        EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
          p.dlogits.poison();
          p.loss.poison();
          const SoftmaxCrossEntropyArgs args = p.args(weight);
          softmax_cross_entropy(context, {&args, 1});
          outputs.keep("loss", p.loss);
          outputs.keep("dlogits", p.dlogits);
          if (AssertionResult result = compare("loss", p.loss, std::vector<double>{loss},
                                               {16.0 * eps<TypeParam>(), 4.0 * eps<TypeParam>()});
              !result) {
            return result;
          }
          return compare("dlogits", p.dlogits, gradient,
                         {16.0 * eps<TypeParam>() * scale, 16.0 * eps<TypeParam>()});
        })) << describe(shape);
      }
    }
  }
}

TYPED_TEST(SoftmaxCrossEntropy, GradientMatchesCentralDifferences) {
  LossProblem<TypeParam> p({3, 7});
  const auto expected = central_differences(
      [&](const auto& z) { return 0.5 * p.reference_loss(z); }, p.logits.doubles());
  for (ExecutionContext& context : every_context()) {
    const SoftmaxCrossEntropyArgs args = p.args(0.5);
    softmax_cross_entropy(context, {&args, 1});
    EXPECT_TRUE(compare("dlogits", p.dlogits, expected, {1e-9 + 8.0 * eps<TypeParam>(), 0.0}));
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
    if (in_place.logits.values() != apart.dlogits.values()) {
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
    const SoftmaxCrossEntropyArgs args = p.args();
    softmax_cross_entropy(context, {&args, 1});
    EXPECT_TRUE(compare("loss", p.loss, std::vector{500.0}, {}));
    EXPECT_TRUE(compare("dlogits", p.dlogits, std::vector{0.0, 0.0, 0.0, 0.0, -0.5, 0.5}, {}));
  }
}

TYPED_TEST(SoftmaxCrossEntropy, NaNReachesTheLoss) {
  LossProblem<TypeParam> p({5, 4});
  p.logits.at(3, 2) = std::numeric_limits<TypeParam>::quiet_NaN();
  for (ExecutionContext& context : every_context()) {
    const SoftmaxCrossEntropyArgs args = p.args();
    softmax_cross_entropy(context, {&args, 1});
    EXPECT_TRUE(std::isnan(p.loss.at(0, 0)));
    EXPECT_TRUE(std::isnan(p.dlogits.at(3, 0)));
    EXPECT_FALSE(std::isnan(p.dlogits.at(2, 0)));
  }
}

TYPED_TEST(SoftmaxCrossEntropy, RejectsWhatTheContractForbids) {
  LossProblem<TypeParam> p({4, 6});
  const auto reject = [&](auto change) {
    return rejects(softmax_cross_entropy, "softmax_cross_entropy", p.args(), change);
  };
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
      const SoftmaxCrossEntropyArgs args = p.args();
      if (context.device == DeviceType::cpu) {
        try {
          softmax_cross_entropy(context, {&args, 1});
          ADD_FAILURE() << "label " << label << " passed";
        } catch (const ShapeError& error) {
          EXPECT_NE(std::string(error.what()).find("sample 2"), std::string::npos) << error.what();
        }
        continue;
      }
      softmax_cross_entropy(context, {&args, 1});
      EXPECT_TRUE(std::isnan(p.loss.at(0, 0))) << label;
      EXPECT_TRUE(p.loss.written());
      EXPECT_TRUE(p.dlogits.written());
      for (std::int64_t i = 0; i < p.dlogits.elems(); ++i) {
        EXPECT_EQ(std::isnan(p.dlogits.data()[i]), i / 6 == 2) << label << " at " << i;
      }
    }
  }
}

template <typename T>
class SoftmaxConfidence : public OpTest {};
TYPED_TEST_SUITE(SoftmaxConfidence, FloatTypes);

template <typename T>
struct ConfidenceProblem {
  explicit ConfidenceProblem(const Shape& s, Gap gap = {})
      : shape(s),
        logits(s.n, 1, 1, s.classes, gap),
        probabilities(s.n, 1, 1, s.classes, {gap.after, gap.before}),
        max(1, 1, 1, s.n),
        second(1, 1, 1, s.n),
        entropy(1, 1, 1, s.n),
        argmax(1, 1, 1, s.n),
        top5(s.n, 1, 1, 5) {
    logits.random(1, -5.0, 5.0);
  }
  SoftmaxConfidenceArgs args() {
    return {logits.view(),  probabilities.view(), max.data(), second.data(),
            entropy.data(), argmax.data(),        top5.data()};
  }
  void poison() {
    for (Operand<T>* out : {&probabilities, &max, &second, &entropy}) out->poison();
    argmax.poison();
    top5.poison();
  }
  AssertionResult run(ExecutionContext& context, Outputs& outputs) {
    poison();
    const SoftmaxConfidenceArgs all = args();
    softmax_confidence(context, {&all, 1});
    outputs.keep("probabilities", probabilities);
    outputs.keep("max", max);
    outputs.keep("second", second);
    outputs.keep("entropy", entropy);
    outputs.keep("argmax", argmax);
    outputs.keep("top5", top5);
    std::vector<double> p, largest, next, entropies, best, five;
    for (std::int64_t i = 0; i < shape.n; ++i) {
      const Row row(row_of(logits, i, shape.classes));
      p.insert(p.end(), row.p.begin(), row.p.end());
      const auto probability = [&](std::size_t k) {
        return k < row.order.size() ? row.p[static_cast<std::size_t>(row.order[k])] : 0.0;
      };
      largest.push_back(probability(0));
      next.push_back(probability(1));
      entropies.push_back(row.entropy);
      best.push_back(row.order[0]);
      for (std::size_t k = 0; k < 5; ++k) five.push_back(k < row.order.size() ? row.order[k] : -1);
    }
    // As for the loss: 10 eps from z - max, a few more; the entropy adds up the errors of p.
    const Tolerance relative{0.0, 16.0 * eps<T>()};
    const Tolerance sums{16.0 * eps<T>(), 16.0 * eps<T>()};
    for (const AssertionResult& result :
         {compare("probabilities", probabilities, p, relative),
          compare("max", max, largest, relative), compare("second", second, next, relative),
          compare("entropy", entropy, entropies, sums), compare("argmax", argmax, best, {}),
          compare("top5", top5, five, {}), logits.intact()}) {
      if (!result) return result;
    }
    return AssertionSuccess();
  }
  Shape shape;
  Operand<T> logits, probabilities, max, second, entropy;
  Operand<std::int32_t> argmax, top5;
};

TYPED_TEST(SoftmaxConfidence, MatchesTheReference) {
  for (const Shape& shape : kShapes) {
    for (const Gap gap : kGaps) {
      ConfidenceProblem<TypeParam> p(shape, gap);
      EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
        return p.run(context, outputs);
      })) << describe(shape);
    }
  }
}

TYPED_TEST(SoftmaxConfidence, TiesGoToTheLowestIndex) {
  for (const Shape& shape : {Shape{33, 4}, Shape{33, 10}, Shape{5, 100}}) {
    ConfidenceProblem<TypeParam> p(shape);
    p.logits.integers(7, 0, 2);
    EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
      return p.run(context, outputs);
    })) << describe(shape);
  }
}

TYPED_TEST(SoftmaxConfidence, EqualLogitsHaveTheEntropyOfLnClasses) {
  ConfidenceProblem<TypeParam> p({1, 8});
  p.logits.fill(TypeParam{3});
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
    EXPECT_TRUE(p.run(context, outputs));
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
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
    EXPECT_TRUE(p.run(context, outputs));
    EXPECT_EQ(p.entropy.at(0, 0), TypeParam{0});
    EXPECT_EQ(p.top5.values(), (std::vector<std::int32_t>{1, 2, 0, 3, -1}));
    return AssertionSuccess();
  }));
}

TYPED_TEST(SoftmaxConfidence, NaNGivesNaNAndClassZeroInItsRow) {
  for (const std::int64_t where : {0, 4, 6}) {
    ConfidenceProblem<TypeParam> p({3, 7});
    p.logits.at(1, where) = std::numeric_limits<TypeParam>::quiet_NaN();
    EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
      p.poison();
      const SoftmaxConfidenceArgs args = p.args();
      softmax_confidence(context, {&args, 1});
      for (std::int64_t row = 0; row < 3; ++row) {
        bool nan = std::isnan(p.max.at(0, row)) && std::isnan(p.second.at(0, row)) &&
                   std::isnan(p.entropy.at(0, row)) && p.argmax.at(0, row) == 0 &&
                   p.top5.at(row, 0) == 0;
        for (std::int64_t i = 0; i < 7; ++i) nan &= std::isnan(p.probabilities.at(row, i));
        if (nan != (row == 1)) return testing::AssertionFailure() << "row " << row;
      }
      if (AssertionResult result = p.top5.written(); !result) return result;
      return p.probabilities.written();
    }));
  }
}

TYPED_TEST(SoftmaxConfidence, IsBatchInvariant) {
  const Shape shape{21, 100};
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
    ConfidenceProblem<TypeParam> p(shape), one({1, 100});
    const SoftmaxConfidenceArgs all = p.args(), single = one.args();
    softmax_confidence(context, {&all, 1});
    for (std::int64_t row = 0; row < shape.n; ++row) {
      for (std::int64_t i = 0; i < 100; ++i) one.logits.at(0, i) = p.logits.at(row, i);
      softmax_confidence(context, {&single, 1});
      bool same = one.max.at(0, 0) == p.max.at(0, row) &&
                  one.second.at(0, 0) == p.second.at(0, row) &&
                  one.entropy.at(0, 0) == p.entropy.at(0, row);
      for (std::int64_t i = 0; i < 100; ++i) {
        same &= one.probabilities.at(0, i) == p.probabilities.at(row, i);
      }
      if (!same) return testing::AssertionFailure() << "row " << row << " has other bits alone";
    }
    return AssertionSuccess();
  }));
}

TYPED_TEST(SoftmaxConfidence, EveryOutputIsOptionalAndProbabilitiesMayReplaceLogits) {
  ExecutionContext context = any_context(2);
  ConfidenceProblem<TypeParam> p({11, 10});
  const SoftmaxConfidenceArgs all = p.args();
  softmax_confidence(context, {&all, 1});
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
    EXPECT_EQ(keep == 1, q.logits.values() == p.probabilities.values()) << keep;
    EXPECT_EQ(keep == 2, q.max.values() == p.max.values()) << keep;
    EXPECT_EQ(keep == 3, q.second.values() == p.second.values()) << keep;
    EXPECT_EQ(keep == 4, q.entropy.values() == p.entropy.values()) << keep;
    EXPECT_EQ(keep == 5, q.argmax.values() == p.argmax.values()) << keep;
    EXPECT_EQ(keep == 6, q.top5.values() == p.top5.values()) << keep;
  }
  ConfidenceProblem<TypeParam> empty({0, 10});
  const SoftmaxConfidenceArgs nothing = empty.args();
  softmax_confidence(context, {&nothing, 1});
}

TYPED_TEST(SoftmaxConfidence, RejectsWhatTheContractForbids) {
  ConfidenceProblem<TypeParam> p({4, 6});
  const auto reject = [&](auto change) {
    return rejects(softmax_confidence, "softmax_confidence", p.args(), change);
  };
  EXPECT_TRUE(reject([](auto& a) { a.logits.c = a.probabilities.c = 0; }));
  EXPECT_TRUE(reject([](auto& a) { a.probabilities.n = 3; }));
  EXPECT_TRUE(bf16_has_bodies() ||
              reject([](auto& a) { a.logits.dtype = a.probabilities.dtype = DType::bf16; }));
}

}  // namespace
}  // namespace msd::test
