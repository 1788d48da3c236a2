// SPDX-License-Identifier: MIT
#include <cmath>

#include "tests/kernels/op_harness.h"

namespace msd::test {
namespace {

using testing::AssertionResult;
using testing::AssertionSuccess;

// Around the vectors and the tasks of 16384 elements.
constexpr std::int64_t kCounts[] = {0, 1, 3, 7, 16, 17, 130, 16384, 16385, 40007};

template <typename T>
class Sgd : public OpTest {};
TYPED_TEST_SUITE(Sgd, FloatTypes);

template <typename T>
struct Problem {
  explicit Problem(std::int64_t count)
      : weight(1, 1, 1, count),
        gradient(1, 1, 1, count),
        velocity(1, 1, 1, count),
        mask(1, 1, 1, count) {
    gradient.random(2);
    // Long runs with ragged ends, as parameters have, and single bytes; any value but 0 counts.
    Random random(4);
    for (std::int64_t i = 0; i < count; ++i) {
      const bool live = i % 97 < 60 ? i / 97 % 2 == 0 : random.integer(0, 1) == 1;
      mask.at(0, i) = live ? static_cast<std::uint8_t>(random.integer(1, 255)) : std::uint8_t{0};
    }
    reset();
  }
  void reset() {
    weight.random(1);
    velocity.random(3);
    lr.fill(0.1);
  }
  SgdArgs args() {
    return {.weight = weight.data(),
            .gradient = gradient.data(),
            .velocity = velocity.data(),
            .mask = nullptr,
            .count = weight.elems(),
            .dtype = kDTypeOf<T>,
            .lr = lr.data(),
            .momentum = 0.9,
            .weight_decay = 1e-2,
            .nesterov = true};
  }
  Operand<T> weight, gradient, velocity;
  Operand<double> lr = Operand<double>::vector(1);
  Operand<std::uint8_t> mask;
};

TYPED_TEST(Sgd, MatchesTheReference) {
  for (const std::int64_t count : kCounts) {
    for (const bool nesterov : {true, false}) {
      for (const bool masked : {false, true}) {
        Problem<TypeParam> p(count);
        std::vector<double> w = p.weight.doubles(), v = p.velocity.doubles();
        const std::vector<double> gradient = p.gradient.doubles();
        for (std::size_t i = 0; i < w.size(); ++i) {
          if (masked && p.mask.at(0, static_cast<std::int64_t>(i)) == 0) continue;
          const double g = gradient[i] + 1e-2 * w[i];
          v[i] = 0.9 * v[i] + g;
          w[i] -= 0.1 * (nesterov ? g + 0.9 * v[i] : v[i]);
        }
        // Values below 4, six roundings.
        const Tolerance tolerance{8.0 * std::numeric_limits<TypeParam>::epsilon(), 0.0};
        EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
          p.reset();
          SgdArgs args = p.args();
          args.nesterov = nesterov;
          if (masked) args.mask = p.mask.data();
          sgd(context, {&args, 1});
          outputs.keep("weight", p.weight);
          outputs.keep("velocity", p.velocity);
          if (AssertionResult result = compare("weight", p.weight, w, tolerance); !result) {
            return result;
          }
          return compare("velocity", p.velocity, v, tolerance);
        })) << count
            << (nesterov ? " nesterov" : "") << (masked ? " masked" : "");
      }
    }
  }
}

TYPED_TEST(Sgd, MaskedElementsKeepTheirBitsAndOthersDoNotNotice) {
  EXPECT_TRUE(on_every_backend([](ExecutionContext& context, Outputs&) {
    Problem<TypeParam> all(20011), masked(20011), before(20011);
    // Where nothing may be touched, there may be anything.
    masked.gradient.at(0, 3) = std::numeric_limits<TypeParam>::quiet_NaN();
    masked.mask.at(0, 3) = 0;
    SgdArgs group[] = {all.args(), masked.args()};
    group[1].mask = masked.mask.data();
    sgd(context, group);
    for (std::int64_t i = 0; i < 20011; ++i) {
      const Problem<TypeParam>& expected = masked.mask.at(0, i) == 0 ? before : all;
      if (masked.weight.at(0, i) != expected.weight.at(0, i) ||
          masked.velocity.at(0, i) != expected.velocity.at(0, i)) {
        return testing::AssertionFailure() << "element " << i;
      }
    }
    return AssertionSuccess();
  }));
}

TYPED_TEST(Sgd, IsExactOnDyadicNumbers) {
  Problem<TypeParam> p(100);
  for (Operand<TypeParam>* operand : {&p.weight, &p.gradient, &p.velocity})
    operand->integers(9, -8, 8);
  std::vector<double> w = p.weight.doubles(), v = p.velocity.doubles();
  const std::vector<double> gradient = p.gradient.doubles();
  for (int step = 0; step < 3; ++step) {
    for (std::size_t i = 0; i < w.size(); ++i) {
      const double g = gradient[i] + 0.25 * w[i];
      v[i] = 0.5 * v[i] + g;
      w[i] -= 0.125 * (g + 0.5 * v[i]);
    }
  }
  SgdArgs args = p.args();
  p.lr.fill(0.125);
  args.momentum = 0.5;
  args.weight_decay = 0.25;
  ExecutionContext context = any_context();
  for (int step = 0; step < 3; ++step) sgd(context, {&args, 1});
  EXPECT_TRUE(compare("weight", p.weight, w, {}));
  EXPECT_TRUE(compare("velocity", p.velocity, v, {}));
}

TYPED_TEST(Sgd, RejectsWhatTheContractForbids) {
  Problem<TypeParam> p(10);
  const auto reject = [&](auto change) { return rejects(sgd, "sgd", p.args(), change); };
  EXPECT_TRUE(reject([](auto& a) { a.count = -1; }));
  EXPECT_TRUE(reject([](auto& a) { a.velocity = nullptr; }));
  EXPECT_TRUE(reject([](auto& a) { a.gradient = nullptr; }));
  EXPECT_TRUE(reject([](auto& a) { a.dtype = DType::bf16; }));
  EXPECT_TRUE(reject([](auto& a) { a.momentum = std::nan(""); }));
  EXPECT_TRUE(reject([](auto& a) { a.lr = nullptr; }));
}

template <typename T>
class FiniteCheck : public OpTest {};
TYPED_TEST_SUITE(FiniteCheck, FloatTypes);

TYPED_TEST(FiniteCheck, FindsTheFirstOfEveryKind) {
  constexpr double kBad[] = {std::numeric_limits<double>::infinity(),
                             -std::numeric_limits<double>::infinity(),
                             std::numeric_limits<double>::quiet_NaN()};
  for (const std::int64_t count : kCounts) {
    Operand<TypeParam> data(1, 1, 1, count);
    data.random(1, -1e30, 1e30);
    if (count > 2) data.at(0, 2) = std::numeric_limits<TypeParam>::denorm_min();
    if (count > 1) data.at(0, 1) = std::numeric_limits<TypeParam>::lowest();
    for (const std::int64_t bad : {std::int64_t{-1}, std::int64_t{0}, count / 2, count - 1}) {
      for (const double value : kBad) {
        if (bad >= count) continue;
        Operand<TypeParam> copy(1, 1, 1, count);
        copy.set(data.values());
        if (bad >= 0) copy.at(0, bad) = static_cast<TypeParam>(value);
        if (bad >= 0 && count > bad + 1) copy.at(0, count - 1) = static_cast<TypeParam>(value);
        auto first = Operand<std::int64_t>::vector(1);
        EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
          first.poison();
          const FiniteCheckArgs args{copy.data(), count, kDTypeOf<TypeParam>, first.data()};
          finite_check(context, {&args, 1});
          outputs.keep("first_bad", first);
          return compare("first_bad", first, std::vector<double>{static_cast<double>(bad)}, {});
        })) << count
            << " elements, bad at " << bad;
      }
    }
  }
}

TYPED_TEST(FiniteCheck, LowestOfSeveralTasksWins) {
  // Task 8 is the first with a bad element. Those after it have theirs where they find it long
  // before task 8 does, or long after.
  constexpr std::int64_t kTask = 16384, kTasks = 16;
  for (const bool last_of_task : {true, false}) {
    Operand<TypeParam> data(1, 1, 1, kTasks * kTask);
    data.fill(TypeParam{1});
    const std::int64_t lowest = 8 * kTask + (last_of_task ? kTask - 1 : 0);
    data.at(0, lowest) = std::numeric_limits<TypeParam>::infinity();
    for (std::int64_t task = 9; task < kTasks; ++task) {
      data.at(0, task * kTask + (last_of_task ? 0 : kTask - 1)) = data.at(0, lowest);
    }
    auto first = Operand<std::int64_t>::vector(1);
    const FiniteCheckArgs args{data.data(), data.elems(), kDTypeOf<TypeParam>, first.data()};
    ExecutionContext context = any_context(3);
    for (int round = 0; round < 200; ++round) {
      first.poison();
      finite_check(context, {&args, 1});
      ASSERT_EQ(first.at(0, 0), lowest);
    }
  }
}

TYPED_TEST(FiniteCheck, RejectsWhatTheContractForbids) {
  Operand<TypeParam> data(1, 1, 1, 4);
  auto first = Operand<std::int64_t>::vector(1);
  const FiniteCheckArgs good{data.data(), 4, kDTypeOf<TypeParam>, first.data()};
  const auto reject = [&](auto change) {
    return rejects(finite_check, "finite_check", good, change);
  };
  EXPECT_TRUE(reject([](auto& a) { a.count = -1; }));
  EXPECT_TRUE(reject([](auto& a) { a.data = nullptr; }));
  EXPECT_TRUE(reject([](auto& a) { a.first_bad = nullptr; }));
  EXPECT_TRUE(reject([](auto& a) { a.dtype = DType::bf16; }));
}

}  // namespace
}  // namespace msd::test
