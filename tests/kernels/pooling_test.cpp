// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <numeric>

#include "tests/kernels/call_runs.h"
#include "tests/kernels/calls/pooling.h"

namespace msd::test {
namespace {

using calls::AvgPoolShape;
using calls::MaxPoolShape;

const MaxPoolShape kMaxShapes[] = {
    {{1, 1, 1, 1}, {1, 1, 0}},  {{2, 4, 6, 3}, {2, 2, 0}},    {{1, 5, 7, 5}, {2, 2, 0}},
    {{2, 7, 8, 6}, {3, 2, 1}},  {{1, 2, 1, 17}, {3, 2, 1}},   {{3, 9, 5, 12}, {3, 1, 1}},
    {{1, 6, 6, 24}, {4, 3, 2}}, {{1, 11, 11, 48}, {3, 2, 1}}, {{2, 5, 3, 130}, {2, 1, 1}},
    {{0, 4, 4, 5}, {2, 2, 0}},  {{2, 4, 4, 0}, {2, 2, 0}},    {{1, 12, 12, 64}, {3, 2, 1}},
    {{1, 5, 5, 3}, {2, 3, 0}}};

template <typename T>
class MaxPoolForward : public OpTest {};
TYPED_TEST_SUITE(MaxPoolForward, FloatTypes);

TYPED_TEST(MaxPoolForward, MatchesTheReferenceExactly) {
  for (const MaxPoolShape& shape : kMaxShapes) {
    for (const Gap gap : {Gap{0, 0}, Gap{3, 1}}) {
      // Below 0: padding must not count as 0.
      calls::MaxPoolForward<Guarded<TypeParam>> p(shape, {.x = gap, .y = {1, 2}}, {},
                                                  {1, -2.0, -1.0});
      const std::vector<double> expected = max_pool_y(shape, p.x.doubles());
      EXPECT_TRUE(gives(p, expected)) << shape.text();
    }
  }
}

TYPED_TEST(MaxPoolForward, NaNAnywhereInAWindowWins) {
  const MaxPoolShape shape{{1, 7, 7, 5}, {3, 2, 1}};
  calls::MaxPoolForward<Guarded<TypeParam>> p(shape);
  const double infinity = std::numeric_limits<double>::infinity();
  p.x.at(0, 0, 0, 1) = static_cast<TypeParam>(infinity);
  p.x.at(0, 6, 6, 2) = static_cast<TypeParam>(-infinity);
  std::vector<double> expected = max_pool_y(shape, p.x.doubles());
  const std::vector<std::vector<std::size_t>> windows = windows_of(shape);
  for (const std::size_t nan :
       {std::size_t{(1 * 7 + 1) * 5 + 3}, std::size_t{(4 * 7 + 5) * 5 + 1}}) {
    p.x.at(static_cast<std::int64_t>(nan / 5), static_cast<std::int64_t>(nan % 5)) =
        std::numeric_limits<TypeParam>::quiet_NaN();
    for (std::size_t out = 0; out < windows.size(); ++out) {
      if (std::find(windows[out].begin(), windows[out].end(), nan) != windows[out].end()) {
        expected[out] = std::numeric_limits<double>::quiet_NaN();
      }
    }
  }
  EXPECT_TRUE(gives(p, expected));
}

TYPED_TEST(MaxPoolForward, RejectsWhatTheContractForbids) {
  calls::MaxPoolForward<Guarded<TypeParam>> p(MaxPoolShape{{2, 6, 6, 5}, {3, 2, 1}});
  const auto reject = rejector(p);
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
  for (MaxPoolShape shape : kMaxShapes) {
    for (const bool accumulate : {false, true}) {
      shape.accumulate = accumulate;
      calls::MaxPoolBackward<Guarded<TypeParam>> p(shape,
                                                   {.x = {3, 1}, .dy = {1, 2}, .dx = {0, 5}});
      const std::vector<double> start =
          accumulate ? p.dx.doubles()
                     : std::vector<double>(static_cast<std::size_t>(shape.x.elems()));
      const std::vector<double> expected = max_pool_dx(shape, p.x.doubles(), p.dy.doubles(), start);
      EXPECT_TRUE(gives(p, expected)) << shape.text() << (accumulate ? " accumulate" : "");
    }
  }
}

TYPED_TEST(MaxPoolBackward, MatchesCentralDifferences) {
  const MaxPoolShape shape{{1, 5, 4, 3}, {3, 2, 1}};
  calls::MaxPoolBackward<Guarded<TypeParam>> p(shape);
  std::vector<TypeParam> distinct(60);  // no two within a step of each other
  std::iota(distinct.begin(), distinct.end(), TypeParam{0});
  Random random(7);
  for (std::size_t i = distinct.size() - 1; i > 0; --i) {
    std::swap(distinct[i],
              distinct[static_cast<std::size_t>(random.integer(0, static_cast<std::int64_t>(i)))]);
  }
  p.x.set(distinct);
  const std::vector<double> weights = p.dy.doubles();
  const auto expected = central_differences(
      [&](const std::vector<double>& at) {
        const std::vector<double> y = max_pool_y(shape, at);
        return std::inner_product(y.begin(), y.end(), weights.begin(), 0.0);
      },
      p.x.doubles(), 0.25);
  for (ExecutionContext& context : every_context()) {
    calls::run(context, p);
    EXPECT_TRUE(compare("dx", p.dx, expected, {1e-12, 0.0}));
  }
}

TYPED_TEST(MaxPoolBackward, RejectsWhatTheContractForbids) {
  calls::MaxPoolBackward<Guarded<TypeParam>> p(MaxPoolShape{{2, 6, 6, 5}, {3, 2, 1}});
  const auto reject = rejector(p);
  EXPECT_TRUE(reject([](auto& a) { a.dy.w = 2; }));
  EXPECT_TRUE(reject([](auto& a) { a.dx.c = 4; }));
  EXPECT_TRUE(reject([](auto& a) { a.dx.data = const_cast<void*>(a.x.data); }));
  EXPECT_TRUE(bf16_has_bodies() ||
              reject([](auto& a) { a.x.dtype = a.dy.dtype = a.dx.dtype = DType::bf16; }));
}

const AvgPoolShape kAvgShapes[] = {
    {{1, 1, 1, 1}, 1, 1},   {{2, 4, 4, 3}, 2, 2},  {{3, 5, 7, 5}, 2, 3},  {{1, 7, 7, 6}, 7, 7},
    {{4, 2, 2, 130}, 2, 2}, {{1, 9, 4, 17}, 4, 1}, {{2, 6, 6, 12}, 3, 2}, {{1, 8, 8, 48}, 3, 3},
    {{64, 2, 2, 24}, 2, 2}, {{0, 4, 4, 3}, 2, 2},  {{1, 4, 4, 0}, 2, 2}};

template <typename T>
class AvgPoolForward : public OpTest {};
TYPED_TEST_SUITE(AvgPoolForward, FloatTypes);

TYPED_TEST(AvgPoolForward, MatchesTheReference) {
  for (const AvgPoolShape& shape : kAvgShapes) {
    for (const Gap gap : {Gap{0, 0}, Gap{3, 1}}) {
      calls::AvgPoolForward<Guarded<TypeParam>> p(shape, {.x = gap, .y = {1, 2}});
      const std::vector<double> expected = avg_pool_y(shape, p.x.doubles());
      EXPECT_TRUE(gives(p, expected, sum_tolerance<TypeParam>(shape.kernel_h * shape.kernel_w)))
          << shape.text();
    }
  }
}

TYPED_TEST(AvgPoolForward, IsExactOnIntegersAndPowersOfTwo) {
  calls::AvgPoolForward<Guarded<TypeParam>> p({{3, 8, 8, 12}, 2, 4});
  p.x.integers(1, -100, 100);
  for (ExecutionContext& context : every_context()) {
    calls::run(context, p);
    EXPECT_TRUE(compare("y", p.y, avg_pool_y(p.shape, p.x.doubles()), {}));
  }
}

TYPED_TEST(AvgPoolForward, RejectsWhatTheContractForbids) {
  calls::AvgPoolForward<Guarded<TypeParam>> p({{2, 6, 6, 5}, 2, 2});
  const auto reject = rejector(p);
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
  for (AvgPoolShape shape : kAvgShapes) {
    if (shape.x.elems() > 600) continue;  // differences cost the square of it
    for (const bool accumulate : {false, true}) {
      shape.accumulate = accumulate;
      calls::AvgPoolBackward<Guarded<TypeParam>> p(shape, {.dy = {3, 1}, .dx = {1, 2}});
      const std::vector<double> weights = p.dy.doubles();
      std::vector<double> expected = central_differences(
          [&](const std::vector<double>& at) {
            const std::vector<double> y = avg_pool_y(shape, at);
            return std::inner_product(y.begin(), y.end(), weights.begin(), 0.0);
          },
          std::vector<double>(static_cast<std::size_t>(p.dx.elems())), 1.0);
      if (accumulate) {
        const std::vector<double> start = p.dx.doubles();
        for (std::size_t i = 0; i < start.size(); ++i) expected[i] += start[i];
      }
      EXPECT_TRUE(gives(p, expected, sum_tolerance<TypeParam>(2, 2.0)))
          << shape.text() << (accumulate ? " accumulate" : "");
    }
  }
}

TYPED_TEST(AvgPoolBackward, SpreadsExactlyOverManyChannels) {
  calls::AvgPoolBackward<Guarded<TypeParam>> p({{5, 5, 4, 130}, 2, 2},
                                               {.dy = {0, 2}, .dx = {3, 0}});
  p.dy.integers(1, -9, 9);
  std::vector<double> expected;
  for (std::int64_t i = 0; i < p.dx.elems(); ++i) {
    const std::int64_t c = i % 130, x = i / 130 % 4, y = i / 130 / 4 % 5, n = i / 130 / 20;
    expected.push_back(y == 4 ? 0.0 : 0.25 * static_cast<double>(p.dy.at(n, y / 2, x / 2, c)));
  }
  EXPECT_TRUE(gives(p, expected));
}

TYPED_TEST(AvgPoolBackward, RejectsWhatTheContractForbids) {
  calls::AvgPoolBackward<Guarded<TypeParam>> p({{2, 6, 6, 5}, 2, 2});
  const auto reject = rejector(p);
  EXPECT_TRUE(reject([](auto& a) { a.dy.n = 1; }));
  EXPECT_TRUE(reject([](auto& a) { a.kernel_w = 0; }));
  EXPECT_TRUE(reject([](auto& a) { a.dx.data = const_cast<void*>(a.dy.data); }));
  EXPECT_TRUE(bf16_has_bodies() || reject([](auto& a) { a.dy.dtype = a.dx.dtype = DType::bf16; }));
}

}  // namespace
}  // namespace msd::test
