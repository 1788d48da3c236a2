// SPDX-License-Identifier: MIT
#include <cmath>
#include <vector>

#include "tests/kernels/call_runs.h"
#include "tests/kernels/calls/optimizer.h"

namespace msd::test {
namespace {

using testing::AssertionSuccess;

// Around the vectors and the tasks of 16384 elements.
constexpr std::int64_t kCounts[] = {0, 1, 3, 7, 16, 17, 130, 16384, 16385, 40007};

template <typename T>
class Sgd : public OpTest {};
TYPED_TEST_SUITE(Sgd, FloatTypes);

template <typename T>
struct Problem : calls::Sgd<Guarded<T>> {
  explicit Problem(std::int64_t elems, const calls::SgdRule& numbers = {})
      : calls::Sgd<Guarded<T>>(elems, numbers), bytes(1, 1, 1, elems) {
    // Long runs with ragged ends, as parameters have, and single bytes; any value but 0 counts.
    Random random(4);
    for (std::int64_t i = 0; i < elems; ++i) {
      const bool live = i % 97 < 60 ? i / 97 % 2 == 0 : random.integer(0, 1) == 1;
      bytes.at(0, i) = live ? static_cast<std::uint8_t>(random.integer(1, 255)) : std::uint8_t{0};
    }
  }
  Operand<std::uint8_t> bytes;
};

TYPED_TEST(Sgd, MatchesTheReference) {
  for (const std::int64_t count : kCounts) {
    for (const bool nesterov : {true, false}) {
      for (const bool masked : {false, true}) {
        Problem<TypeParam> p(count, {.nesterov = nesterov});
        if (masked) p.mask = p.bytes.data();
        std::vector<double> w = p.weight.doubles(), v = p.velocity.doubles();
        const std::vector<double> gradient = p.gradient.doubles();
        for (std::size_t i = 0; i < w.size(); ++i) {
          if (masked && p.bytes.at(0, static_cast<std::int64_t>(i)) == 0) continue;
          sgd_step(p.rule, gradient[i], w[i], v[i]);
        }
        // Values below 4, six roundings.
        const Tolerance tolerance{8.0 * std::numeric_limits<TypeParam>::epsilon(), 0.0};
        EXPECT_TRUE(always(p,
                           [&] {
                             MSD_RETURN_IF_FAILED(compare("weight", p.weight, w, tolerance));
                             return compare("velocity", p.velocity, v, tolerance);
                           }))
            << count << (nesterov ? " nesterov" : "") << (masked ? " masked" : "");
      }
    }
  }
}

TYPED_TEST(Sgd, MaskedElementsKeepTheirBitsAndOthersDoNotNotice) {
  EXPECT_TRUE(on_every_backend([](ExecutionContext& context, Outputs&) {
    Problem<TypeParam> all(20011), masked(20011), before(20011);
    // Where nothing may be touched, there may be anything.
    masked.gradient.at(0, 3) = std::numeric_limits<TypeParam>::quiet_NaN();
    masked.bytes.at(0, 3) = 0;
    SgdArgs group[] = {all.args(), masked.args()};
    group[1].mask = masked.bytes.data();
    sgd(context, group);
    for (std::int64_t i = 0; i < 20011; ++i) {
      const Problem<TypeParam>& expected = masked.bytes.at(0, i) == 0 ? before : all;
      if (masked.weight.at(0, i) != expected.weight.at(0, i) ||
          masked.velocity.at(0, i) != expected.velocity.at(0, i)) {
        return testing::AssertionFailure() << "element " << i;
      }
    }
    return AssertionSuccess();
  }));
}

TYPED_TEST(Sgd, IsExactOnDyadicNumbers) {
  Problem<TypeParam> p(100, {.lr = 0.125, .momentum = 0.5, .weight_decay = 0.25});
  for (Operand<TypeParam>* operand : {&p.weight, &p.gradient, &p.velocity})
    operand->integers(9, -8, 8);
  std::vector<double> w = p.weight.doubles(), v = p.velocity.doubles();
  const std::vector<double> gradient = p.gradient.doubles();
  ExecutionContext context = any_context();
  for (int step = 0; step < 3; ++step) {
    for (std::size_t i = 0; i < w.size(); ++i) sgd_step(p.rule, gradient[i], w[i], v[i]);
    calls::run(context, p);
  }
  EXPECT_TRUE(compare("weight", p.weight, w, {}));
  EXPECT_TRUE(compare("velocity", p.velocity, v, {}));
}

TYPED_TEST(Sgd, RejectsWhatTheContractForbids) {
  Problem<TypeParam> p(10);
  const auto reject = rejector(p);
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
    calls::FiniteCheck<Guarded<TypeParam>> p(count, {1, -1e30, 1e30});
    Operand<TypeParam>& data = p.data;
    if (count > 2) data.at(0, 2) = std::numeric_limits<TypeParam>::denorm_min();
    if (count > 1) data.at(0, 1) = std::numeric_limits<TypeParam>::lowest();
    for (const std::int64_t bad : {std::int64_t{-1}, std::int64_t{0}, count / 2, count - 1}) {
      for (const double value : kBad) {
        if (bad >= count) continue;
        const std::vector<TypeParam> good = data.values();
        if (bad >= 0) data.at(0, bad) = static_cast<TypeParam>(value);
        if (bad >= 0 && count > bad + 1) data.at(0, count - 1) = static_cast<TypeParam>(value);
        EXPECT_TRUE(always(p,
                           [&] {
                             return compare("first_bad", p.first_bad,
                                            std::vector{static_cast<double>(bad)}, {});
                           }))
            << count << " elements, bad at " << bad;
        data.set(good);
      }
    }
  }
}

TYPED_TEST(FiniteCheck, LowestOfSeveralTasksWins) {
  // Task 8 is the first with a bad element. Those after it have theirs where they find it long
  // before task 8 does, or long after.
  constexpr std::int64_t kTask = 16384, kTasks = 16;
  for (const bool last_of_task : {true, false}) {
    calls::FiniteCheck<Guarded<TypeParam>> p(kTasks * kTask);
    Operand<TypeParam>& data = p.data;
    data.fill(TypeParam{1});
    const std::int64_t lowest = 8 * kTask + (last_of_task ? kTask - 1 : 0);
    data.at(0, lowest) = std::numeric_limits<TypeParam>::infinity();
    for (std::int64_t task = 9; task < kTasks; ++task) {
      data.at(0, task * kTask + (last_of_task ? 0 : kTask - 1)) = data.at(0, lowest);
    }
    ExecutionContext context = any_context(3);
    for (int round = 0; round < 200; ++round) {
      prepare(context, p);
      calls::run(context, p);
      ASSERT_EQ(p.first_bad.at(0, 0), lowest);
    }
  }
}

TYPED_TEST(FiniteCheck, RejectsWhatTheContractForbids) {
  calls::FiniteCheck<Guarded<TypeParam>> p(4);
  const auto reject = rejector(p);
  EXPECT_TRUE(reject([](auto& a) { a.count = -1; }));
  EXPECT_TRUE(reject([](auto& a) { a.data = nullptr; }));
  EXPECT_TRUE(reject([](auto& a) { a.first_bad = nullptr; }));
  EXPECT_TRUE(reject([](auto& a) { a.dtype = DType::bf16; }));
}

}  // namespace
}  // namespace msd::test
