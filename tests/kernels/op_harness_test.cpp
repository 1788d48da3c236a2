// SPDX-License-Identifier: MIT
// Plants faults that the harness must report, and correct results that it must accept.
#include "tests/kernels/op_harness.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "kernels/cpu/device/op_table.h"

namespace msd::test {
namespace {

using testing::AssertionSuccess;

template <typename T>
class OpHarness : public testing::Test {};
TYPED_TEST_SUITE(OpHarness, FloatTypes);

bool says(const testing::AssertionResult& result, const std::string& part) {
  return std::string(result.message()).find(part) != std::string::npos;
}

TYPED_TEST(OpHarness, AcceptsAWrittenOperand) {
  Operand<TypeParam> y(2, 3, 5, 7, {3, 1});
  EXPECT_TRUE(y.intact());
  y.random(1);
  EXPECT_TRUE(y.written());
  const std::vector<double> same = y.doubles();
  EXPECT_TRUE(compare("y", y, same, Tolerance{}));
}

TYPED_TEST(OpHarness, AcceptsEmptyOperands) {
  Operand<TypeParam> no_rows(0, 3, 5, 7, {3, 1}), no_channels(2, 3, 5, 0), nothing(0, 0, 0, 0);
  for (const auto* y : {&no_rows, &no_channels, &nothing}) {
    EXPECT_TRUE(y->written());
    EXPECT_TRUE(compare("y", *y, {}, Tolerance{}));
  }
}

TYPED_TEST(OpHarness, ViewIsPlacedAsAsked) {
  Operand<TypeParam> y(2, 3, 5, 7, {3, 1});
  const View view = y.view();
  EXPECT_EQ(view.c, 7);
  EXPECT_EQ(view.pitch, 11);
  EXPECT_EQ(view.rows(), 30);
  EXPECT_EQ(view.dtype, kDTypeOf<TypeParam>);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(view.as<TypeParam>() - 3) % 64, 0u);
  EXPECT_EQ(&y.at(1, 2, 4, 6), view.as<TypeParam>() + 29 * 11 + 6);
}

TYPED_TEST(OpHarness, ReportsAnUnwrittenElement) {
  Operand<TypeParam> y(2, 3, 5, 7, {3, 1});
  EXPECT_FALSE(y.written());
  const TypeParam unwritten = y.at(1, 2, 0, 4);
  y.random(1);
  y.at(1, 2, 0, 4) = unwritten;
  EXPECT_FALSE(y.written());
  EXPECT_TRUE(says(y.written(), "[1,2,0,4]")) << y.written().message();
  std::vector<double> same = y.doubles();
  EXPECT_FALSE(compare("y", y, same, Tolerance{1e9, 1e9}));
}

TYPED_TEST(OpHarness, ReportsResultsComputedFromPoison) {
  Operand<TypeParam> x(1, 1, 1, 4), y(1, 1, 1, 4);
  for (std::int64_t i = 0; i < 4; ++i) y.at(0, i) = -(TypeParam{2} * x.at(0, i) + TypeParam{1});
  EXPECT_FALSE(y.written());
  for (std::int64_t i = 0; i < 4; ++i) {
    y.at(0, i) = static_cast<TypeParam>(static_cast<double>(x.at(0, i)));
  }
  EXPECT_FALSE(y.written());
}

TYPED_TEST(OpHarness, ReportsAnOverrunByOne) {
  for (const Gap gap : {Gap{0, 0}, Gap{3, 1}}) {
    Operand<TypeParam> after(2, 3, 5, 7, gap), before(2, 3, 5, 7, gap);
    after.random(1).plant(29, 7, 0);
    EXPECT_FALSE(after.written());
    before.random(1).plant(0, -1, 0);
    EXPECT_FALSE(before.written());
  }
  Operand<TypeParam> far(1, 1, 1, 7);
  far.random(1).plant(0, 7 + 31, 0);  // two 512-bit vectors of doubles on
  EXPECT_TRUE(says(far.intact(), "32 elements after")) << far.intact().message();
}

TYPED_TEST(OpHarness, ReportsAWriteIntoTheGap) {
  for (const std::int64_t channel : {-3, -1, 7}) {
    Operand<TypeParam> y(2, 3, 5, 7, {3, 1});
    y.random(1).plant(11, channel, 0);
    EXPECT_TRUE(says(y.intact(), "gap of row")) << y.intact().message();
    EXPECT_FALSE(y.written());
  }
}

TYPED_TEST(OpHarness, ReportsPoisonMovedIntoAGap) {
  Operand<TypeParam> x(2, 3, 5, 7), y(2, 3, 5, 7, {3, 1});
  y.random(1).plant(11, 7, x.at(11, 6));
  EXPECT_FALSE(y.intact());
}

#if defined(__SANITIZE_ADDRESS__)
TYPED_TEST(OpHarness, SanitizerStopsReadsOfGuards) {
  Operand<TypeParam> y(2, 3, 5, 8, {8, 8});
  y.random(1);
  const auto read = [&](std::int64_t row, std::int64_t channel) {
    *static_cast<volatile const TypeParam*>(&y.at(row, channel));
  };
  EXPECT_DEATH(read(3, -1), "use-after-poison");
  EXPECT_DEATH(read(3, 8), "use-after-poison");
  EXPECT_DEATH(read(0, -9), "use-after-poison");
  EXPECT_DEATH(read(29, 16), "use-after-poison");
  read(3, 7);
}
#endif

TYPED_TEST(OpHarness, ReportsNaN) {
  Operand<TypeParam> y(1, 2, 2, 3);
  y.random(1);
  std::vector<double> reference = y.doubles();
  y.at(2, 1) = std::numeric_limits<TypeParam>::quiet_NaN();
  EXPECT_TRUE(y.written());  // a value, not a tag
  EXPECT_TRUE(says(compare("y", y, reference, Tolerance{1e9, 1e9}), "[0,1,0,1]"));
  reference[7] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(compare("y", y, reference, Tolerance{}));
  y.at(2, 1) = 1;
  EXPECT_FALSE(compare("y", y, reference, Tolerance{1e9, 1e9}));
}

TYPED_TEST(OpHarness, ReportsInfinity) {
  Operand<TypeParam> y(1, 1, 1, 2);
  y.fill(std::numeric_limits<TypeParam>::infinity());
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_TRUE(compare("y", y, std::vector{infinity, infinity}, Tolerance{}));
  EXPECT_FALSE(compare("y", y, std::vector{infinity, -infinity}, Tolerance{1e9, 1e9}));
  EXPECT_FALSE(compare("y", y, std::vector{infinity, 1.0}, Tolerance{1e9, 1e9}));
  y.at(0, 1) = 1;
  EXPECT_FALSE(compare("y", y, std::vector{infinity, infinity}, Tolerance{1e9, 1e9}));
}

TYPED_TEST(OpHarness, ReportsSwappedElementsWithTheWorstIndex) {
  Operand<TypeParam> y(1, 2, 2, 3);
  for (std::int64_t i = 0; i < 12; ++i) y.at(i / 3, i % 3) = static_cast<TypeParam>(i * i);
  const std::vector<double> reference = y.doubles();
  std::swap(y.at(0, 1), y.at(0, 2));
  std::swap(y.at(3, 1), y.at(3, 2));
  const auto result = compare("y", y, reference, Tolerance{1e-6, 0});
  EXPECT_FALSE(result);
  EXPECT_TRUE(says(result, "4 of 12")) << result.message();
  EXPECT_TRUE(says(result, "[0,1,1,1]")) << result.message();
}

TYPED_TEST(OpHarness, HoldsTheTolerance) {
  Operand<TypeParam> y(1, 1, 1, 1);
  y.fill(TypeParam{1.25});
  EXPECT_TRUE(compare("y", y, std::vector{1.0}, Tolerance{0.25, 0}));
  EXPECT_TRUE(compare("y", y, std::vector{1.0}, Tolerance{0, 0.25}));
  EXPECT_FALSE(compare("y", y, std::vector{1.0}, Tolerance{0.24, 0}));
  EXPECT_FALSE(compare("y", y, std::vector{1.0}, Tolerance{0, 0.24}));
  EXPECT_FALSE(compare("y", y, std::vector{1.25, 1.25}, Tolerance{}));  // wrong count
}

TEST(OpHarness, WorksOnIntegers) {
  auto y = Operand<std::int32_t>::vector(5);
  EXPECT_FALSE(y.written());
  y.integers(3, -1, 9);
  EXPECT_TRUE(y.written());
  y.plant(0, 5, 0);
  EXPECT_FALSE(y.written());
  auto bytes = Operand<std::uint8_t>::vector(5);
  bytes.integers(3, 0, 255);
  EXPECT_TRUE(bytes.written());
}

TEST(OpHarness, RunsEveryInstructionSetAndThreadCount) {
  std::vector<std::pair<const cpu::OpTable*, int>> seen;
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
    EXPECT_TRUE(is_tag(*reinterpret_cast<const double*>(context.pool->scratch(0))));
    seen.emplace_back(context.cpu_ops, context.pool->size());
    return AssertionSuccess();
  }));
  for (const cpu::Isa isa : cpu::available_isas()) {
    for (const int threads : {1, 2, 3}) {
      const auto run = std::pair(&cpu::op_table(isa), threads);
      EXPECT_NE(std::find(seen.begin(), seen.end(), run), seen.end()) << cpu::name(isa);
    }
  }
}

TEST(OpHarness, ReportsAFailingRun) {
  const auto result = on_every_backend([](ExecutionContext& context, Outputs&) {
    return context.pool->size() == 2 ? testing::AssertionFailure() << "two" : AssertionSuccess();
  });
  EXPECT_TRUE(says(result, "generic, 2 threads: two")) << result.message();
}

TEST(OpHarness, ReportsBitsThatDependOnThreads) {
  const auto result = on_every_backend([](ExecutionContext& context, Outputs& outputs) {
    Operand<float> y(1, 1, 1, 3);
    y.fill(0.0f).at(0, 1) = context.pool->size() == 3 ? -0.0f : 0.0f;  // equal, other bits
    outputs.keep("y", y);
    return AssertionSuccess();
  });
  EXPECT_TRUE(says(result, "3 threads")) << result.message();
  EXPECT_TRUE(says(result, "y differs in its bits at packed element 1")) << result.message();
}

TEST(OpHarness, ReportsBitsThatDependOnTheRun) {
  float next = 0.0f;
  EXPECT_FALSE(on_every_backend([&](ExecutionContext&, Outputs& outputs) {
    Operand<float> y(1, 1, 1, 3);
    y.fill(next++);
    outputs.keep("y", y);
    return AssertionSuccess();
  }));
}

void throwing_op(ExecutionContext&, std::span<const FillArgs> group) {
  MSD_CHECK(group[0].value != 1.0, "throwing_op: one");
  MSD_CHECK(group[0].value != 2.0, "another_op: two");
}

TEST(OpHarness, ReportsAnAcceptedContractViolation) {
  const auto set = [](double value) { return [value](FillArgs& args) { args.value = value; }; };
  EXPECT_TRUE(rejects(throwing_op, "throwing_op", FillArgs{}, set(1.0)));
  EXPECT_FALSE(rejects(throwing_op, "throwing_op", FillArgs{}, set(2.0)));
  EXPECT_FALSE(rejects(throwing_op, "throwing_op", FillArgs{}, set(3.0)));
}

TEST(OpHarness, DifferentiatesAPolynomial) {
  const auto gradient = central_differences(
      [](const std::vector<double>& x) { return x[0] * x[0] * x[0] + 2.0 * x[0] * x[1]; }, {2, 3});
  EXPECT_NEAR(gradient[0], 18.0, 1e-8);
  EXPECT_NEAR(gradient[1], 4.0, 1e-8);
}

TEST(OpHarness, RandomIsTheSameEverywhere) {
  Random random(1);
  EXPECT_EQ(random.bits(), 0x910A2DEC89025CC1u);  // SplitMix64's published first value for seed 1
  for (int i = 0; i < 1000; ++i) {
    const double u = random.uniform(-2, 3);
    EXPECT_GE(u, -2);
    EXPECT_LT(u, 3);
    const std::int64_t k = random.integer(-1, 1);
    EXPECT_TRUE(k >= -1 && k <= 1);
  }
}

}  // namespace
}  // namespace msd::test
