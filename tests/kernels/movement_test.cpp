// SPDX-License-Identifier: MIT
#include <limits>
#include <vector>

#include "tests/kernels/call_runs.h"
#include "tests/kernels/calls/movement.h"
#include "tests/kernels/row_shapes.h"

namespace msd::test {
namespace {

using calls::Shape;

template <typename T>
class Concat : public OpTest {};
TYPED_TEST_SUITE(Concat, FloatTypes);

TYPED_TEST(Concat, JoinsChannelsExactly) {
  const std::vector<std::vector<std::int64_t>> widths = {
      {1}, {6, 6}, {3, 0, 5, 1}, {16, 6, 6, 6, 6}, {130, 17}, {}};
  for (const auto& parts : widths) {
    for (const Gap gap : kRowGaps) {
      calls::Concat<Guarded<TypeParam>> p({3, 11, 13, 0}, parts, gap, {gap.after, gap.before});
      std::vector<double> expected;
      for (std::int64_t row = 0; row < p.y.rows(); ++row) {
        for (std::size_t k = 0; k < parts.size(); ++k) {
          for (std::int64_t i = 0; i < parts[k]; ++i) {
            expected.push_back(static_cast<double>(p.inputs[k].at(row, i)));
          }
        }
      }
      EXPECT_TRUE(gives(p, expected)) << parts.size() << " inputs";
    }
  }
}

TYPED_TEST(Concat, RejectsWhatTheContractForbids) {
  calls::Concat<Guarded<TypeParam>> p({2, 3, 3, 0}, {4, 2});
  const ConcatArgs good = p.args();
  std::vector<ConstView> other = p.views;
  const auto reject = [&](auto change) { return rejects(concat, "concat", good, change); };
  EXPECT_TRUE(reject([](auto& args) { args.y.c = 5; }));
  EXPECT_TRUE(reject([&](auto& args) { args.y.data = p.inputs[0].data(); }));
  other[1].h = 2;
  EXPECT_TRUE(reject([&](auto& args) { args.inputs = other; }));
  std::vector<ConstView> narrow = p.views;
  for (ConstView& view : narrow) view.dtype = DType::bf16;
  EXPECT_TRUE(bf16_has_bodies() || reject([&](auto& args) {
                args.inputs = narrow;
                args.y.dtype = DType::bf16;
              }));
}

template <typename T>
class Copy : public OpTest {};
TYPED_TEST_SUITE(Copy, FloatTypes);

TYPED_TEST(Copy, CopiesBitForBit) {
  for (const Shape& shape : kRowShapes) {
    for (const Gap x_gap : kRowGaps) {
      for (const Gap y_gap : kRowGaps) {
        calls::Copy<Guarded<TypeParam>> p(shape, x_gap, y_gap);
        if (p.x.elems() > 1) {
          p.x.at(0, 0) = -TypeParam{0};
          p.x.at(p.x.rows() - 1, shape.c - 1) = std::numeric_limits<TypeParam>::quiet_NaN();
        }
        EXPECT_TRUE(always(p, [&] {
          Outputs original, copied;
          original.keep("y", p.x), copied.keep("y", p.y);
          MSD_RETURN_IF_FAILED(copied.identical(original));
          return p.y.written();
        })) << shape.text();
      }
    }
  }
}

TYPED_TEST(Copy, RunsAGroupOfDifferentSizes) {
  std::vector<calls::Copy<Guarded<TypeParam>>> problems;
  std::vector<CopyArgs> group;
  for (const Shape& shape : kRowShapes) {
    problems.emplace_back(shape, Gap{}, Gap{1, 0});
    group.push_back(problems.back().args());
  }
  ExecutionContext context = any_context(3);
  copy(context, group);
  for (const auto& p : problems) EXPECT_TRUE(compare("y", p.y, p.x.doubles(), {}));
}

TYPED_TEST(Copy, RejectsWhatTheContractForbids) {
  calls::Copy<Guarded<TypeParam>> p(Shape{2, 3, 3, 5});
  const auto reject = rejector(p);
  EXPECT_TRUE(reject([](auto& a) { a.y.w = 2; }));
  EXPECT_TRUE(reject([](auto& a) { a.y.data = nullptr; }));
  EXPECT_TRUE(reject([](auto& a) { a.y.data = const_cast<void*>(a.x.data); }));
  EXPECT_TRUE(bf16_has_bodies() || reject([](auto& a) { a.x.dtype = a.y.dtype = DType::bf16; }));
  EXPECT_TRUE(reject([](auto& a) { a.x.dtype = a.y.dtype = DType::i32; }));
}

template <typename T>
class Accumulate : public OpTest {};
TYPED_TEST_SUITE(Accumulate, FloatTypes);

TYPED_TEST(Accumulate, AddsWithOneRounding) {
  for (const Shape& shape : kRowShapes) {
    for (const Gap gap : kRowGaps) {
      calls::Accumulate<Guarded<TypeParam>> p(shape, gap, {gap.after, gap.before});
      std::vector<double> expected;
      const std::vector<TypeParam> a = p.x.values(), b = p.y.values();
      for (std::size_t i = 0; i < a.size(); ++i) {
        expected.push_back(static_cast<double>(static_cast<TypeParam>(a[i] + b[i])));
      }
      EXPECT_TRUE(gives(p, expected)) << shape.text();
    }
  }
}

TYPED_TEST(Accumulate, TheSameViewDoubles) {
  Operand<TypeParam> y(2, 5, 7, 17, {1, 2});
  y.integers(1);
  std::vector<double> expected = y.doubles();
  for (double& value : expected) value *= 2.0;
  const AccumulateArgs args{y.view(), y.view()};
  ExecutionContext context = any_context(2);
  accumulate(context, {&args, 1});
  EXPECT_TRUE(compare("y", y, expected, {}));
}

TYPED_TEST(Accumulate, RejectsWhatTheContractForbids) {
  calls::Accumulate<Guarded<TypeParam>> p(Shape{2, 3, 3, 5}, {1, 1});
  const auto reject = rejector(p);
  EXPECT_TRUE(reject([](auto& a) { a.y.n = 1; }));
  EXPECT_TRUE(reject([&](auto& a) {
    a.y = p.x.view();
    a.y.data = p.x.data() + 1;
  }));
  EXPECT_TRUE(bf16_has_bodies() || reject([](auto& a) { a.x.dtype = a.y.dtype = DType::bf16; }));
}

template <typename T>
class Fill : public OpTest {};
TYPED_TEST_SUITE(Fill, FloatTypes);

TYPED_TEST(Fill, WritesTheValueAndNothingElse) {
  for (const Shape& shape : kRowShapes) {
    for (const Gap gap : kRowGaps) {
      for (const double value : {0.0, -1.5}) {
        calls::Fill<Guarded<TypeParam>> p(shape, value, gap);
        const std::vector<double> expected(static_cast<std::size_t>(shape.elems()), value);
        EXPECT_TRUE(gives(p, expected)) << shape.text();
      }
    }
  }
}

TYPED_TEST(Fill, RejectsWhatTheContractForbids) {
  calls::Fill<Guarded<TypeParam>> p({2, 3, 3, 5}, 1.0);
  const auto reject = rejector(p);
  EXPECT_TRUE(reject([](auto& a) { a.y.pitch = 4; }));
  EXPECT_TRUE(reject([](auto& a) { a.y.n = -1; }));
  EXPECT_TRUE(bf16_has_bodies() || reject([](auto& a) { a.y.dtype = DType::bf16; }));
}

}  // namespace
}  // namespace msd::test
