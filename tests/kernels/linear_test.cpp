// SPDX-License-Identifier: MIT
#include <algorithm>
#include <numeric>

#include "tests/kernels/call_runs.h"
#include "tests/kernels/calls/linear.h"

namespace msd::test {
namespace {

using Shape = calls::LinearShape;

// Around the tiles of 4 x 4, the tasks of 16 rows and 32 outputs, and the vectors.
const Shape kShapes[] = {{1, 1, 1},     {1, 128, 10},  {5, 3, 7},    {4, 16, 4},
                         {17, 130, 33}, {64, 128, 10}, {3, 17, 100}, {2, 5, 1},
                         {33, 24, 131}, {0, 8, 5},     {3, 0, 5},    {3, 8, 0}};
const Gap kGaps[] = {{0, 0}, {3, 2}};

template <typename T>
using Forward = calls::LinearForward<Guarded<T>>;
template <typename T>
using Backward = calls::LinearBackward<Guarded<T>>;

template <typename T>
class LinearForward : public OpTest {};
TYPED_TEST_SUITE(LinearForward, FloatTypes);

TYPED_TEST(LinearForward, MatchesTheReference) {
  for (const Shape& shape : kShapes) {
    for (const Gap gap : kGaps) {
      for (const bool integers : {false, true}) {
        Forward<TypeParam> p(shape, gap);
        if (integers) {
          p.x.integers(1);
          p.weight.integers(2);
          p.bias.integers(3);
        }
        const auto expected =
            calls::linear_y(shape, p.x.doubles(), p.weight.doubles(), p.bias.doubles());
        const Tolerance tolerance = integers ? Tolerance{} : sum_tolerance<TypeParam>(shape.in + 1);
        EXPECT_TRUE(gives(p, expected, tolerance)) << shape.text();
      }
    }
  }
}

TYPED_TEST(LinearForward, IsBatchInvariant) {
  const Shape shape{23, 77, 100};
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
    Forward<TypeParam> p(shape);
    const LinearForwardArgs all = p.args();
    linear_forward(context, {&all, 1});
    const std::vector<TypeParam> together = p.y.values();
    for (const std::int64_t batch : {1, 2, 3, 7}) {
      p.y.poison();
      for (std::int64_t first = 0; first < shape.n; first += batch) {
        LinearForwardArgs some = all;
        some.x.n = some.y.n = std::min(batch, shape.n - first);
        some.x.data = &p.x.at(first, 0);
        some.y.data = &p.y.at(first, 0);
        linear_forward(context, {&some, 1});
      }
      if (p.y.values() != together) {
        return testing::AssertionFailure() << "other bits in batches of " << batch;
      }
    }
    return testing::AssertionSuccess();
  }));
}

TYPED_TEST(LinearForward, RunsAGroup) {
  Forward<TypeParam> a({5, 20, 10}), b({17, 6, 40});
  ExecutionContext context = any_context(2);
  const LinearForwardArgs group[] = {a.args(), b.args()};
  linear_forward(context, group);
  EXPECT_TRUE(compare("a", a.y, a.expected(), sum_tolerance<TypeParam>(21)));
  EXPECT_TRUE(compare("b", b.y, b.expected(), sum_tolerance<TypeParam>(7)));
}

TYPED_TEST(LinearForward, RejectsWhatTheContractForbids) {
  Forward<TypeParam> p({4, 6, 3});
  const auto reject = rejector(p);
  EXPECT_TRUE(reject([](auto& a) { a.y.n = 3; }));
  EXPECT_TRUE(reject([](auto& a) { a.weight = nullptr; }));
  EXPECT_TRUE(reject([](auto& a) { a.bias = nullptr; }));
  EXPECT_TRUE(bf16_has_bodies() || reject([](auto& a) { a.x.dtype = a.y.dtype = DType::bf16; }));
  EXPECT_TRUE(reject([](auto& a) { a.y.data = const_cast<void*>(a.x.data); }));
}

template <typename T>
class LinearBackward : public OpTest {};
TYPED_TEST_SUITE(LinearBackward, FloatTypes);

TYPED_TEST(LinearBackward, MatchesTheReference) {
  for (const Shape& shape : kShapes) {
    for (const Gap gap : kGaps) {
      for (const bool accumulate : {false, true}) {
        Backward<TypeParam> p({shape.n, shape.in, shape.out, accumulate}, gap);
        const bool integers = accumulate;
        if (integers) {
          for (Operand<TypeParam>* operand : {&p.x, &p.weight, &p.dy}) operand->integers(5);
        }
        p.start();
        const calls::LinearGradients expected(
            shape, p.x.doubles(), p.weight.doubles(), p.dy.doubles(),
            accumulate ? p.dx.doubles()
                       : std::vector<double>(static_cast<std::size_t>(p.dx.elems())));
        const auto tolerance = [&](std::int64_t terms) {
          return integers ? Tolerance{} : sum_tolerance<TypeParam>(terms);
        };
        EXPECT_TRUE(
            always(p,
                   [&] {
                     MSD_RETURN_IF_FAILED(compare("dx", p.dx, expected.dx, tolerance(shape.out)));
                     MSD_RETURN_IF_FAILED(compare("dw", p.dw, expected.dw, tolerance(shape.n)));
                     return compare("dbias", p.dbias, expected.dbias, tolerance(shape.n));
                   }))
            << shape.text() << (accumulate ? " accumulate" : "");
      }
    }
  }
}

TYPED_TEST(LinearBackward, MatchesCentralDifferencesOfForward) {
  const Shape shape{3, 5, 4};
  Backward<TypeParam> p(shape, {1, 1});
  const auto x = p.x.doubles(), weight = p.weight.doubles(), bias = p.bias.doubles(),
             dy = p.dy.doubles();
  const auto loss = [&](const std::vector<double>& y) {
    return std::inner_product(y.begin(), y.end(), dy.begin(), 0.0);
  };
  const auto dx = central_differences(
      [&](const auto& at) { return loss(calls::linear_y(shape, at, weight, bias)); }, x, 0.5);
  const auto dw = central_differences(
      [&](const auto& at) { return loss(calls::linear_y(shape, x, at, bias)); }, weight, 0.5);
  const auto dbias = central_differences(
      [&](const auto& at) { return loss(calls::linear_y(shape, x, weight, at)); }, bias, 0.5);
  for (ExecutionContext& context : every_context()) {
    calls::run(context, p);
    const Tolerance tolerance = sum_tolerance<TypeParam>(16, 4.0);  // linear: no truncation error
    EXPECT_TRUE(compare("dx", p.dx, dx, tolerance));
    EXPECT_TRUE(compare("dw", p.dw, dw, tolerance));
    EXPECT_TRUE(compare("dbias", p.dbias, dbias, tolerance));
  }
}

TYPED_TEST(LinearBackward, InputGradientMayBeLeftOut) {
  Backward<TypeParam> p({9, 20, 5}), without({9, 20, 5});
  LinearBackwardArgs group[] = {p.args(), without.args()};
  group[1].dx = {};
  ExecutionContext context = any_context(2);
  linear_backward(context, group);
  EXPECT_EQ(p.dw.values(), without.dw.values());
  EXPECT_EQ(p.dbias.values(), without.dbias.values());
  EXPECT_TRUE(p.dx.written());
  EXPECT_TRUE(is_tag(without.dx.at(0, 0)));
}

TYPED_TEST(LinearBackward, RejectsWhatTheContractForbids) {
  Backward<TypeParam> p({4, 6, 3});
  const auto reject = rejector(p);
  EXPECT_TRUE(reject([](auto& a) { a.dy.n = 3; }));
  EXPECT_TRUE(reject([](auto& a) { a.dx.c = 5; }));
  EXPECT_TRUE(reject([](auto& a) { a.dw = nullptr; }));
  EXPECT_TRUE(reject([](auto& a) { a.dx.data = const_cast<void*>(a.x.data); }));
  EXPECT_TRUE(bf16_has_bodies() ||
              reject([](auto& a) { a.x.dtype = a.dy.dtype = a.dx.dtype = DType::bf16; }));
}

}  // namespace
}  // namespace msd::test
