// SPDX-License-Identifier: MIT
#include <algorithm>
#include <numeric>

#include "tests/kernels/op_harness.h"

namespace msd::test {
namespace {

struct Shape {
  std::int64_t n, in, out;
};
// Around the tiles of 4 x 4, the tasks of 16 rows and 32 outputs, and the vectors.
const Shape kShapes[] = {{1, 1, 1},     {1, 128, 10},  {5, 3, 7},    {4, 16, 4},
                         {17, 130, 33}, {64, 128, 10}, {3, 17, 100}, {2, 5, 1},
                         {33, 24, 131}, {0, 8, 5},     {3, 0, 5},    {3, 8, 0}};
const Gap kGaps[] = {{0, 0}, {3, 2}};

std::string describe(const Shape& s) { return message(s.n, " x ", s.in, " to ", s.out); }

std::vector<double> forward(const Shape& s, const std::vector<double>& x,
                            const std::vector<double>& weight, const std::vector<double>& bias) {
  std::vector<double> y;
  for (std::int64_t i = 0; i < s.n; ++i) {
    for (std::int64_t o = 0; o < s.out; ++o) {
      double sum = bias[static_cast<std::size_t>(o)];
      for (std::int64_t c = 0; c < s.in; ++c) {
        sum += x[static_cast<std::size_t>(i * s.in + c)] *
               weight[static_cast<std::size_t>(o * s.in + c)];
      }
      y.push_back(sum);
    }
  }
  return y;
}

template <typename T>
struct Problem {
  explicit Problem(const Shape& s, Gap gap = {})
      : x(s.n, 1, 1, s.in, gap),
        y(s.n, 1, 1, s.out, {gap.after, gap.before}),
        dy(s.n, 1, 1, s.out, gap),
        dx(s.n, 1, 1, s.in, {gap.after, gap.before}),
        weight(1, 1, s.out, s.in),
        dw(1, 1, s.out, s.in),
        bias(1, 1, 1, s.out),
        dbias(1, 1, 1, s.out) {
    x.random(1);
    weight.random(2);
    bias.random(3);
    dy.random(4);
  }
  LinearForwardArgs forward_args() { return {x.view(), weight.data(), bias.data(), y.view()}; }
  LinearBackwardArgs backward_args() {
    return {x.view(), dy.view(), weight.data(), dx.view(), dw.data(), dbias.data(), false};
  }
  Operand<T> x, y, dy, dx, weight, dw, bias, dbias;
};

template <typename T>
class LinearForward : public OpTest {};
TYPED_TEST_SUITE(LinearForward, FloatTypes);

TYPED_TEST(LinearForward, MatchesTheReference) {
  for (const Shape& shape : kShapes) {
    for (const Gap gap : kGaps) {
      for (const bool integers : {false, true}) {
        Problem<TypeParam> p(shape, gap);
        if (integers) {
          p.x.integers(1);
          p.weight.integers(2);
          p.bias.integers(3);
        }
        const auto expected = forward(shape, p.x.doubles(), p.weight.doubles(), p.bias.doubles());
        const Tolerance tolerance = integers ? Tolerance{} : sum_tolerance<TypeParam>(shape.in + 1);
        EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
          p.y.poison();
          const LinearForwardArgs args = p.forward_args();
          linear_forward(context, {&args, 1});
          outputs.keep("y", p.y);
          return compare("y", p.y, expected, tolerance);
        })) << describe(shape);
      }
    }
  }
}

TYPED_TEST(LinearForward, IsBatchInvariant) {
  const Shape shape{23, 77, 100};
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
    Problem<TypeParam> p(shape);
    const LinearForwardArgs all = p.forward_args();
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
  Problem<TypeParam> a({5, 20, 10}), b({17, 6, 40});
  ExecutionContext context = any_context(2);
  const LinearForwardArgs group[] = {a.forward_args(), b.forward_args()};
  linear_forward(context, group);
  EXPECT_TRUE(compare("a", a.y,
                      forward({5, 20, 10}, a.x.doubles(), a.weight.doubles(), a.bias.doubles()),
                      sum_tolerance<TypeParam>(21)));
  EXPECT_TRUE(compare("b", b.y,
                      forward({17, 6, 40}, b.x.doubles(), b.weight.doubles(), b.bias.doubles()),
                      sum_tolerance<TypeParam>(7)));
}

TYPED_TEST(LinearForward, RejectsWhatTheContractForbids) {
  Problem<TypeParam> p({4, 6, 3});
  const auto reject = [&](auto change) {
    return rejects(linear_forward, "linear_forward", p.forward_args(), change);
  };
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
        Problem<TypeParam> p(shape, gap);
        const bool integers = accumulate;
        if (integers) {
          for (Operand<TypeParam>* operand : {&p.x, &p.weight, &p.dy}) operand->integers(5);
        }
        const auto x = p.x.doubles(), weight = p.weight.doubles(), dy = p.dy.doubles();
        std::vector<double> dx(x.size()), dw(weight.size()), dbias(p.bias.doubles().size());
        if (accumulate) dx = p.dx.integers(6).doubles();
        const auto in = static_cast<std::size_t>(shape.in),
                   out = static_cast<std::size_t>(shape.out);
        for (std::size_t i = 0; i < dy.size(); ++i) {
          const std::size_t row = i / out, o = i % out;
          dbias[o] += dy[i];
          for (std::size_t c = 0; c < in; ++c) {
            dx[row * in + c] += dy[i] * weight[o * in + c];
            dw[o * in + c] += dy[i] * x[row * in + c];
          }
        }
        const auto tolerance = [&](std::int64_t terms) {
          return integers ? Tolerance{} : sum_tolerance<TypeParam>(terms);
        };
        EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
          accumulate ? p.dx.integers(6) : p.dx.poison();
          p.dw.poison();
          p.dbias.poison();
          LinearBackwardArgs args = p.backward_args();
          args.accumulate = accumulate;
          linear_backward(context, {&args, 1});
          outputs.keep("dx", p.dx);
          outputs.keep("dw", p.dw);
          outputs.keep("dbias", p.dbias);
          if (auto result = compare("dx", p.dx, dx, tolerance(shape.out)); !result) return result;
          if (auto result = compare("dw", p.dw, dw, tolerance(shape.n)); !result) return result;
          return compare("dbias", p.dbias, dbias, tolerance(shape.n));
        })) << describe(shape)
            << (accumulate ? " accumulate" : "");
      }
    }
  }
}

TYPED_TEST(LinearBackward, MatchesCentralDifferencesOfForward) {
  const Shape shape{3, 5, 4};
  Problem<TypeParam> p(shape, {1, 1});
  const auto x = p.x.doubles(), weight = p.weight.doubles(), bias = p.bias.doubles(),
             dy = p.dy.doubles();
  const auto loss = [&](const std::vector<double>& y) {
    return std::inner_product(y.begin(), y.end(), dy.begin(), 0.0);
  };
  const auto dx = central_differences(
      [&](const auto& at) { return loss(forward(shape, at, weight, bias)); }, x, 0.5);
  const auto dw = central_differences(
      [&](const auto& at) { return loss(forward(shape, x, at, bias)); }, weight, 0.5);
  const auto dbias = central_differences(
      [&](const auto& at) { return loss(forward(shape, x, weight, at)); }, bias, 0.5);
  for (ExecutionContext& context : every_context()) {
    const LinearBackwardArgs args = p.backward_args();
    linear_backward(context, {&args, 1});
    const Tolerance tolerance = sum_tolerance<TypeParam>(16, 4.0);  // linear: no truncation error
    EXPECT_TRUE(compare("dx", p.dx, dx, tolerance));
    EXPECT_TRUE(compare("dw", p.dw, dw, tolerance));
    EXPECT_TRUE(compare("dbias", p.dbias, dbias, tolerance));
  }
}

TYPED_TEST(LinearBackward, InputGradientMayBeLeftOut) {
  Problem<TypeParam> p({9, 20, 5}), without({9, 20, 5});
  LinearBackwardArgs group[] = {p.backward_args(), without.backward_args()};
  group[1].dx = {};
  ExecutionContext context = any_context(2);
  linear_backward(context, group);
  EXPECT_EQ(p.dw.values(), without.dw.values());
  EXPECT_EQ(p.dbias.values(), without.dbias.values());
  EXPECT_TRUE(p.dx.written());
  EXPECT_TRUE(is_tag(without.dx.at(0, 0)));
}

TYPED_TEST(LinearBackward, RejectsWhatTheContractForbids) {
  Problem<TypeParam> p({4, 6, 3});
  const auto reject = [&](auto change) {
    return rejects(linear_backward, "linear_backward", p.backward_args(), change);
  };
  EXPECT_TRUE(reject([](auto& a) { a.dy.n = 3; }));
  EXPECT_TRUE(reject([](auto& a) { a.dx.c = 5; }));
  EXPECT_TRUE(reject([](auto& a) { a.dw = nullptr; }));
  EXPECT_TRUE(reject([](auto& a) { a.dx.data = const_cast<void*>(a.x.data); }));
  EXPECT_TRUE(bf16_has_bodies() ||
              reject([](auto& a) { a.x.dtype = a.dy.dtype = a.dx.dtype = DType::bf16; }));
}

}  // namespace
}  // namespace msd::test
