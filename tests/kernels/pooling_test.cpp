// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <numeric>

#include "tests/kernels/op_harness.h"

namespace msd::test {
namespace {

using testing::AssertionResult;
using testing::AssertionSuccess;

struct MaxCase {
  std::int64_t n, h, w, c;
  PoolGeometry geometry;
};

const MaxCase kMaxCases[] = {
    {1, 1, 1, 1, {1, 1, 0}},  {2, 4, 6, 3, {2, 2, 0}},    {1, 5, 7, 5, {2, 2, 0}},
    {2, 7, 8, 6, {3, 2, 1}},  {1, 2, 1, 17, {3, 2, 1}},   {3, 9, 5, 12, {3, 1, 1}},
    {1, 6, 6, 24, {4, 3, 2}}, {1, 11, 11, 48, {3, 2, 1}}, {2, 5, 3, 130, {2, 1, 1}},
    {0, 4, 4, 5, {2, 2, 0}},  {2, 4, 4, 0, {2, 2, 0}},    {1, 12, 12, 64, {3, 2, 1}},
    {1, 5, 5, 3, {2, 3, 0}}};

std::string describe(const MaxCase& p) {
  return message("[", p.n, ",", p.h, ",", p.w, ",", p.c, "] kernel ", p.geometry.kernel, " stride ",
                 p.geometry.stride, " padding ", p.geometry.padding);
}

/// Calls body(image, channel, index of y, indices of x in its window) in row-major order.
template <typename Body>
void for_windows(const MaxCase& p, Body&& body) {
  const PoolGeometry& g = p.geometry;
  std::size_t out = 0;
  for (std::int64_t n = 0; n < p.n; ++n) {
    for (std::int64_t oy = 0; oy < g.out_size(p.h); ++oy) {
      for (std::int64_t ox = 0; ox < g.out_size(p.w); ++ox) {
        for (std::int64_t c = 0; c < p.c; ++c, ++out) {
          std::vector<std::size_t> window;
          for (std::int64_t ky = 0; ky < g.kernel; ++ky) {
            for (std::int64_t kx = 0; kx < g.kernel; ++kx) {
              const std::int64_t y = oy * g.stride - g.padding + ky;
              const std::int64_t x = ox * g.stride - g.padding + kx;
              if (y < 0 || y >= p.h || x < 0 || x >= p.w) continue;
              window.push_back(static_cast<std::size_t>(((n * p.h + y) * p.w + x) * p.c + c));
            }
          }
          body(out, window);
        }
      }
    }
  }
}

std::size_t first_maximum(const std::vector<double>& x, const std::vector<std::size_t>& window) {
  std::size_t best = window[0];
  for (const std::size_t i : window) {
    if (x[i] > x[best]) best = i;
  }
  return best;
}

template <typename T>
Operand<T> output_of(const MaxCase& p, Gap gap) {
  return {p.n, p.geometry.out_size(p.h), p.geometry.out_size(p.w), p.c, gap};
}

std::vector<double> max_pool(const MaxCase& p, const std::vector<double>& x) {
  std::vector<double> y;
  for_windows(p,
              [&](std::size_t, const auto& window) { y.push_back(x[first_maximum(x, window)]); });
  return y;
}

std::vector<double> max_unpool(const MaxCase& p, const std::vector<double>& x,
                               const std::vector<double>& dy, std::vector<double> dx) {
  for_windows(
      p, [&](std::size_t out, const auto& window) { dx[first_maximum(x, window)] += dy[out]; });
  return dx;
}

template <typename T>
class MaxPoolForward : public OpTest {};
TYPED_TEST_SUITE(MaxPoolForward, FloatTypes);

TYPED_TEST(MaxPoolForward, MatchesTheReferenceExactly) {
  for (const MaxCase& p : kMaxCases) {
    for (const Gap gap : {Gap{0, 0}, Gap{3, 1}}) {
      Operand<TypeParam> x(p.n, p.h, p.w, p.c, gap), y = output_of<TypeParam>(p, {1, 2});
      x.random(1, -2.0, -1.0);  // below 0: padding must not count as 0
      const std::vector<double> expected = max_pool(p, x.doubles());
      EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
        y.poison();
        const MaxPoolForwardArgs args{x.view(), y.view(), p.geometry};
        max_pool_forward(context, {&args, 1});
        outputs.keep("y", y);
        return compare("y", y, expected, {});
      })) << describe(p);
    }
  }
}

TYPED_TEST(MaxPoolForward, NaNAnywhereInAWindowWins) {
  const MaxCase p{1, 7, 7, 5, {3, 2, 1}};
  Operand<TypeParam> x(p.n, p.h, p.w, p.c), y = output_of<TypeParam>(p, {});
  x.random(2);
  const double infinity = std::numeric_limits<double>::infinity();
  x.at(0, 0, 0, 1) = static_cast<TypeParam>(infinity);
  x.at(0, 6, 6, 2) = static_cast<TypeParam>(-infinity);
  std::vector<double> expected = max_pool(p, x.doubles());
  for (const std::size_t nan :
       {std::size_t{(1 * 7 + 1) * 5 + 3}, std::size_t{(4 * 7 + 5) * 5 + 1}}) {
    x.at(static_cast<std::int64_t>(nan / 5), static_cast<std::int64_t>(nan % 5)) =
        std::numeric_limits<TypeParam>::quiet_NaN();
    for_windows(p, [&](std::size_t out, const auto& window) {
      if (std::find(window.begin(), window.end(), nan) != window.end()) {
        expected[out] = std::numeric_limits<double>::quiet_NaN();
      }
    });
  }
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
    y.poison();
    const MaxPoolForwardArgs args{x.view(), y.view(), p.geometry};
    max_pool_forward(context, {&args, 1});
    return compare("y", y, expected, {});
  }));
}

TYPED_TEST(MaxPoolForward, RejectsWhatTheContractForbids) {
  Operand<TypeParam> x(2, 6, 6, 5), y(2, 3, 3, 5);
  const MaxPoolForwardArgs good{x.view(), y.view(), {3, 2, 1}};
  const auto reject = [&](auto change) {
    return rejects(max_pool_forward, "max_pool_forward", good, change);
  };
  EXPECT_TRUE(reject([](auto& a) { a.y.h = 2; }));
  EXPECT_TRUE(reject([](auto& a) { a.geometry.padding = 2; }));
  EXPECT_TRUE(reject([](auto& a) { a.geometry.stride = 0; }));
  EXPECT_TRUE(reject([](auto& a) { a.y.dtype = DType::bf16; }));
  EXPECT_TRUE(bf16_has_bodies() || reject([](auto& a) { a.x.dtype = a.y.dtype = DType::bf16; }));
  EXPECT_TRUE(reject([](auto& a) { a.y.data = const_cast<void*>(a.x.data); }));
  EXPECT_TRUE(reject([](auto& a) {  // one output without a position under its window
    a.geometry = {2, 2, 1};
    a.x.h = 0;
    a.y.h = 1;
    a.y.w = 4;
    a.y.n = a.x.n = 1;
  }));
}

template <typename T>
class MaxPoolBackward : public OpTest {};
TYPED_TEST_SUITE(MaxPoolBackward, FloatTypes);

TYPED_TEST(MaxPoolBackward, MatchesTheReferenceExactly) {
  for (const MaxCase& p : kMaxCases) {
    for (const bool accumulate : {false, true}) {
      Operand<TypeParam> x(p.n, p.h, p.w, p.c, {3, 1}), dy = output_of<TypeParam>(p, {1, 2});
      Operand<TypeParam> dx(p.n, p.h, p.w, p.c, {0, 5});
      x.integers(1, -3, 3);  // many ties: the first maximum takes the gradient
      dy.integers(2, -9, 9);
      std::vector<double> start(static_cast<std::size_t>(x.elems()));
      if (accumulate) start = dx.integers(3, -9, 9).doubles();
      const std::vector<double> expected = max_unpool(p, x.doubles(), dy.doubles(), start);
      EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
        accumulate ? dx.integers(3, -9, 9) : dx.poison();
        const MaxPoolBackwardArgs args{x.view(), dy.view(), dx.view(), p.geometry, accumulate};
        max_pool_backward(context, {&args, 1});
        outputs.keep("dx", dx);
        return compare("dx", dx, expected, {});
      })) << describe(p)
          << (accumulate ? " accumulate" : "");
    }
  }
}

TYPED_TEST(MaxPoolBackward, MatchesCentralDifferences) {
  const MaxCase p{1, 5, 4, 3, {3, 2, 1}};
  Operand<TypeParam> x(p.n, p.h, p.w, p.c), dy = output_of<TypeParam>(p, {}), dx(1, 5, 4, 3);
  std::vector<TypeParam> distinct(60);  // no two within a step of each other
  std::iota(distinct.begin(), distinct.end(), TypeParam{0});
  Random random(7);
  for (std::size_t i = distinct.size() - 1; i > 0; --i) {
    std::swap(distinct[i],
              distinct[static_cast<std::size_t>(random.integer(0, static_cast<std::int64_t>(i)))]);
  }
  x.set(distinct);
  dy.integers(8);
  const std::vector<double> weights = dy.doubles();
  const auto expected = central_differences(
      [&](const std::vector<double>& at) {
        const std::vector<double> y = max_pool(p, at);
        return std::inner_product(y.begin(), y.end(), weights.begin(), 0.0);
      },
      x.doubles(), 0.25);
  for (ExecutionContext& context : every_context()) {
    const MaxPoolBackwardArgs args{x.view(), dy.view(), dx.view(), p.geometry, false};
    max_pool_backward(context, {&args, 1});
    EXPECT_TRUE(compare("dx", dx, expected, {1e-12, 0.0}));
  }
}

TYPED_TEST(MaxPoolBackward, RejectsWhatTheContractForbids) {
  Operand<TypeParam> x(2, 6, 6, 5), dy(2, 3, 3, 5), dx(2, 6, 6, 5);
  const MaxPoolBackwardArgs good{x.view(), dy.view(), dx.view(), {3, 2, 1}, false};
  const auto reject = [&](auto change) {
    return rejects(max_pool_backward, "max_pool_backward", good, change);
  };
  EXPECT_TRUE(reject([](auto& a) { a.dy.w = 2; }));
  EXPECT_TRUE(reject([](auto& a) { a.dx.c = 4; }));
  EXPECT_TRUE(reject([](auto& a) { a.dx.data = const_cast<void*>(a.x.data); }));
  EXPECT_TRUE(bf16_has_bodies() ||
              reject([](auto& a) { a.x.dtype = a.dy.dtype = a.dx.dtype = DType::bf16; }));
}

struct AvgCase {
  std::int64_t n, h, w, c, kernel_h, kernel_w;
};

const AvgCase kAvgCases[] = {{1, 1, 1, 1, 1, 1},  {2, 4, 4, 3, 2, 2},   {3, 5, 7, 5, 2, 3},
                             {1, 7, 7, 6, 7, 7},  {4, 2, 2, 130, 2, 2}, {1, 9, 4, 17, 4, 1},
                             {2, 6, 6, 12, 3, 2}, {1, 8, 8, 48, 3, 3},  {64, 2, 2, 24, 2, 2},
                             {0, 4, 4, 3, 2, 2},  {1, 4, 4, 0, 2, 2}};

std::string describe(const AvgCase& p) {
  return message("[", p.n, ",", p.h, ",", p.w, ",", p.c, "] window ", p.kernel_h, "x", p.kernel_w);
}

std::vector<double> avg_pool(const AvgCase& p, const std::vector<double>& x) {
  std::vector<double> y;
  for (std::int64_t n = 0; n < p.n; ++n) {
    for (std::int64_t oy = 0; oy < p.h / p.kernel_h; ++oy) {
      for (std::int64_t ox = 0; ox < p.w / p.kernel_w; ++ox) {
        for (std::int64_t c = 0; c < p.c; ++c) {
          double sum = 0.0;
          for (std::int64_t i = 0; i < p.kernel_h * p.kernel_w; ++i) {
            const std::int64_t row = oy * p.kernel_h + i / p.kernel_w;
            const std::int64_t column = ox * p.kernel_w + i % p.kernel_w;
            sum += x[static_cast<std::size_t>(((n * p.h + row) * p.w + column) * p.c + c)];
          }
          y.push_back(sum / static_cast<double>(p.kernel_h * p.kernel_w));
        }
      }
    }
  }
  return y;
}

template <typename T>
class AvgPoolForward : public OpTest {};
TYPED_TEST_SUITE(AvgPoolForward, FloatTypes);

TYPED_TEST(AvgPoolForward, MatchesTheReference) {
  for (const AvgCase& p : kAvgCases) {
    for (const Gap gap : {Gap{0, 0}, Gap{3, 1}}) {
      Operand<TypeParam> x(p.n, p.h, p.w, p.c, gap);
      Operand<TypeParam> y(p.n, p.h / p.kernel_h, p.w / p.kernel_w, p.c, {1, 2});
      x.random(1);
      const std::vector<double> expected = avg_pool(p, x.doubles());
      EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
        y.poison();
        const AvgPoolForwardArgs args{x.view(), y.view(), p.kernel_h, p.kernel_w};
        avg_pool_forward(context, {&args, 1});
        outputs.keep("y", y);
        return compare("y", y, expected, sum_tolerance<TypeParam>(p.kernel_h * p.kernel_w));
      })) << describe(p);
    }
  }
}

TYPED_TEST(AvgPoolForward, IsExactOnIntegersAndPowersOfTwo) {
  const AvgCase p{3, 8, 8, 12, 2, 4};
  Operand<TypeParam> x(p.n, p.h, p.w, p.c), y(3, 4, 2, 12);
  x.integers(1, -100, 100);
  for (ExecutionContext& context : every_context()) {
    const AvgPoolForwardArgs args{x.view(), y.view(), p.kernel_h, p.kernel_w};
    avg_pool_forward(context, {&args, 1});
    EXPECT_TRUE(compare("y", y, avg_pool(p, x.doubles()), {}));
  }
}

TYPED_TEST(AvgPoolForward, RejectsWhatTheContractForbids) {
  Operand<TypeParam> x(2, 6, 6, 5), y(2, 3, 3, 5);
  const AvgPoolForwardArgs good{x.view(), y.view(), 2, 2};
  const auto reject = [&](auto change) {
    return rejects(avg_pool_forward, "avg_pool_forward", good, change);
  };
  EXPECT_TRUE(reject([](auto& a) { a.y.h = 2; }));
  EXPECT_TRUE(reject([](auto& a) { a.kernel_h = 0; }));
  EXPECT_TRUE(reject([](auto& a) { a.kernel_w = 7; }));
  EXPECT_TRUE(bf16_has_bodies() || reject([](auto& a) { a.x.dtype = a.y.dtype = DType::bf16; }));
}

template <typename T>
class AvgPoolBackward : public OpTest {};
TYPED_TEST_SUITE(AvgPoolBackward, FloatTypes);

TYPED_TEST(AvgPoolBackward, MatchesCentralDifferences) {
  // The reference is linear: the differences are exact but for their own rounding.
  for (const AvgCase& p : kAvgCases) {
    if (p.n * p.h * p.w * p.c > 600) continue;  // differences cost the square of it
    for (const bool accumulate : {false, true}) {
      Operand<TypeParam> dy(p.n, p.h / p.kernel_h, p.w / p.kernel_w, p.c, {3, 1});
      Operand<TypeParam> dx(p.n, p.h, p.w, p.c, {1, 2});
      dy.random(1);
      const std::vector<double> weights = dy.doubles();
      std::vector<double> expected = central_differences(
          [&](const std::vector<double>& at) {
            const std::vector<double> y = avg_pool(p, at);
            return std::inner_product(y.begin(), y.end(), weights.begin(), 0.0);
          },
          std::vector<double>(static_cast<std::size_t>(dx.elems())), 1.0);
      if (accumulate) {
        const std::vector<double> start = dx.random(2).doubles();
        for (std::size_t i = 0; i < start.size(); ++i) expected[i] += start[i];
      }
      EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
        accumulate ? dx.random(2) : dx.poison();
        const AvgPoolBackwardArgs args{dy.view(), dx.view(), p.kernel_h, p.kernel_w, accumulate};
        avg_pool_backward(context, {&args, 1});
        outputs.keep("dx", dx);
        return compare("dx", dx, expected, sum_tolerance<TypeParam>(2, 2.0));
      })) << describe(p)
          << (accumulate ? " accumulate" : "");
    }
  }
}

TYPED_TEST(AvgPoolBackward, SpreadsExactlyOverManyChannels) {
  Operand<TypeParam> dy(5, 2, 2, 130, {0, 2}), dx(5, 5, 4, 130, {3, 0});
  dy.integers(1, -9, 9);
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
    dx.poison();
    const AvgPoolBackwardArgs args{dy.view(), dx.view(), 2, 2, false};
    avg_pool_backward(context, {&args, 1});
    std::vector<double> expected;
    for (std::int64_t i = 0; i < dx.elems(); ++i) {
      const std::int64_t c = i % 130, x = i / 130 % 4, y = i / 130 / 4 % 5, n = i / 130 / 20;
      expected.push_back(y == 4 ? 0.0 : 0.25 * static_cast<double>(dy.at(n, y / 2, x / 2, c)));
    }
    return compare("dx", dx, expected, {});
  }));
}

TYPED_TEST(AvgPoolBackward, RejectsWhatTheContractForbids) {
  Operand<TypeParam> dy(2, 3, 3, 5), dx(2, 6, 6, 5);
  const AvgPoolBackwardArgs good{dy.view(), dx.view(), 2, 2, false};
  const auto reject = [&](auto change) {
    return rejects(avg_pool_backward, "avg_pool_backward", good, change);
  };
  EXPECT_TRUE(reject([](auto& a) { a.dy.n = 1; }));
  EXPECT_TRUE(reject([](auto& a) { a.kernel_w = 0; }));
  EXPECT_TRUE(reject([](auto& a) { a.dx.data = const_cast<void*>(a.dy.data); }));
  EXPECT_TRUE(bf16_has_bodies() || reject([](auto& a) { a.dy.dtype = a.dx.dtype = DType::bf16; }));
}

}  // namespace
}  // namespace msd::test
