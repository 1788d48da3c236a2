// SPDX-License-Identifier: MIT
// Gradients of convolutions with bf16 activations.
#include "tests/kernels/bfloat16_rows.h"
#include "tests/kernels/calls/convolution.h"

namespace msd::test {
namespace {

// Small integers, whose sums are exact in float: the order of sums, which differs, doesn't matter.
constexpr calls::Content kWhole = calls::whole(1, -60, 60);

struct Bf16Case {
  calls::ConvShape shape;
  calls::Gaps gaps;  // for every width of copy
};
// Every tile of both ops, several splits of the rows.
const Bf16Case kBf16Cases[] = {{{1, 5, 7, {6, 6, 3, 1, 1}}, {{3, 2}, {0, 2}}},
                               {{2, 13, 12, {12, 12, 3, 1, 1}}, {{4, 4}, {2, 1}}},
                               {{2, 12, 13, {20, 24, 3, 2, 1}}, {{2, 2}, {8, 8}}},
                               {{3, 11, 9, {40, 40, 1, 1, 0}}, {{0, 0}, {4, 0}}},
                               {{1, 9, 8, {70, 6, 2, 3, 0}}, {{1, 1}, {2, 2}}}};

class ConvBackwardDataBf16 : public OpTest {};
TEST_F(ConvBackwardDataBf16, RoundsWhatF32Gives) {
  for (const Bf16Case& c : kBf16Cases) {
    for (const bool accumulate : {false, true}) {
      calls::ConvShape shape = c.shape;
      shape.accumulate = accumulate;
      EXPECT_TRUE(rounds_what_f32_gives([&](auto memory) {
        return calls::ConvBackwardData<decltype(memory)>(shape, kWhole, c.gaps);
      })) << shape.text()
          << (accumulate ? "accumulated" : "");
    }
  }
}

class ConvBackwardWeightBf16 : public OpTest {};
TEST_F(ConvBackwardWeightBf16, GivesWhatF32Gives) {
  for (const Bf16Case& c : kBf16Cases) {
    EXPECT_TRUE(rounds_what_f32_gives([&](auto memory) {
      return calls::ConvBackwardWeight<decltype(memory)>(c.shape, kWhole, c.gaps);
    })) << c.shape.text();
  }
}

}  // namespace
}  // namespace msd::test
