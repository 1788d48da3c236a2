// SPDX-License-Identifier: MIT
// Batch norm and moves of rows with bf16 activations.
#include <vector>

#include "tests/kernels/bfloat16_rows.h"
#include "tests/kernels/calls/batchnorm.h"
#include "tests/kernels/calls/movement.h"

namespace msd::test {
namespace {

constexpr calls::Shape kBf16Shapes[] = {
    {1, 2, 1, 1}, {2, 35, 1, 6}, {3, 300, 1, 24}, {1, 17, 1, 70}};
constexpr Gap kBf16Gap = {3, 2};

/// Passes where Call does on every shape. make(shape, memory): the call.
template <typename Make>
void expect_rounding(Make make) {
  for (const calls::Shape& s : kBf16Shapes) {
    EXPECT_TRUE(rounds_what_f32_gives([&](auto memory) { return make(s, memory); })) << s.text();
  }
}

class BatchnormForwardBf16 : public OpTest {};
TEST_F(BatchnormForwardBf16, RoundsWhatF32Gives) {
  expect_rounding([](const calls::Shape& s, auto memory) {
    return calls::BatchnormForward<decltype(memory)>(s, kBf16Gap);
  });
}

class BatchnormBackwardBf16 : public OpTest {};
TEST_F(BatchnormBackwardBf16, RoundsWhatF32Gives) {
  expect_rounding([](const calls::Shape& s, auto memory) {
    return calls::BatchnormBackward<decltype(memory)>(s, kBf16Gap);
  });
}

class BatchnormInferenceBf16 : public OpTest {};
TEST_F(BatchnormInferenceBf16, RoundsWhatF32Gives) {
  expect_rounding([](const calls::Shape& s, auto memory) {
    return calls::BatchnormInference<decltype(memory)>(s, kBf16Gap);
  });
}

class AccumulateBf16 : public OpTest {};
TEST_F(AccumulateBf16, RoundsTheSumOnce) {
  for (const calls::Shape& s : kBf16Shapes) {
    calls::Accumulate<Bf16> p(s, kBf16Gap, kBf16Gap);
    Operand<float> sum = p.y.wide();
    const Operand<float> x = p.x.wide();
    for (std::int64_t i = 0; i < sum.elems(); ++i) sum.data()[i] += x.data()[i];
    EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
      prepare(context, p);
      calls::run(context, p);
      return p.y.equals(sum);
    })) << s.text();
  }
}

class CopyBf16 : public OpTest {};
TEST_F(CopyBf16, CopiesAndFills) {
  for (const calls::Shape& s : kBf16Shapes) {
    calls::Copy<Bf16> p(s, kBf16Gap, kBf16Gap);
    calls::Fill<Bf16> third(s, 1.0 / 3.0, kBf16Gap);
    const Operand<float> wide = p.x.wide();
    Operand<float> thirds(s.n, s.h, s.w, s.c);
    thirds.fill(1.0f / 3.0f);
    EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
      prepare(context, p), prepare(context, third);
      calls::run(context, p), calls::run(context, third);
      MSD_RETURN_IF_FAILED(p.y.equals(wide));
      return third.y.equals(thirds);
    })) << s.text();
  }
}

}  // namespace
}  // namespace msd::test
