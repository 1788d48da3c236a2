// SPDX-License-Identifier: MIT
// Pooling, linear layers, classification and image movement with bf16 activations.
#include <vector>

#include "tests/kernels/bfloat16_rows.h"
#include "tests/kernels/calls/classification.h"
#include "tests/kernels/calls/exits.h"
#include "tests/kernels/calls/images.h"
#include "tests/kernels/calls/linear.h"
#include "tests/kernels/calls/movement.h"
#include "tests/kernels/calls/pooling.h"

namespace msd::test {
namespace {

constexpr Gap kOdd = {3, 2};
constexpr Gap kLayerGaps[] = {kOdd, {0, 0}};  // odd, and where 8 channels go at once
constexpr calls::MaxPoolShape kMax = {{2, 7, 6, 24}, {3, 2, 1}};
constexpr calls::AvgPoolShape kAvg = {{3, 7, 6, 24}, 3, 3};
calls::Gaps all(Gap gap) { return {gap, gap, gap, gap}; }

class MaxPoolForwardBf16 : public OpTest {};
TEST_F(MaxPoolForwardBf16, IsExact) {
  for (const Gap gap : kLayerGaps) {
    EXPECT_TRUE(rounds_what_f32_gives(
        [&](auto memory) { return calls::MaxPoolForward<decltype(memory)>(kMax, all(gap)); }));
  }
}

class MaxPoolBackwardBf16 : public OpTest {};
TEST_F(MaxPoolBackwardBf16, RoundsWhatF32Gives) {
  for (const Gap gap : kLayerGaps) {
    for (const bool accumulate : {false, true}) {
      EXPECT_TRUE(rounds_what_f32_gives([&](auto memory) {
        return calls::MaxPoolBackward<decltype(memory)>({kMax.x, kMax.geometry, accumulate},
                                                        all(gap), memory, {2, -2.0, 2.0});
      }));
    }
  }
}

class AvgPoolForwardBf16 : public OpTest {};
TEST_F(AvgPoolForwardBf16, RoundsWhatF32Gives) {
  for (const Gap gap : kLayerGaps) {
    EXPECT_TRUE(rounds_what_f32_gives(
        [&](auto memory) { return calls::AvgPoolForward<decltype(memory)>(kAvg, all(gap)); }));
  }
}

class AvgPoolBackwardBf16 : public OpTest {};
TEST_F(AvgPoolBackwardBf16, RoundsWhatF32Gives) {
  for (const Gap gap : kLayerGaps) {
    for (const bool accumulate : {false, true}) {
      EXPECT_TRUE(rounds_what_f32_gives([&](auto memory) {
        return calls::AvgPoolBackward<decltype(memory)>({kAvg.x, 3, 3, accumulate}, all(gap));
      }));
    }
  }
}

class LinearForwardBf16 : public OpTest {};
TEST_F(LinearForwardBf16, RoundsWhatF32Gives) {
  for (const calls::LinearShape& s :
       {calls::LinearShape{2, 1, 10}, calls::LinearShape{70, 6, 15},
        calls::LinearShape{900, 24, 33}, calls::LinearShape{17, 70, 79}}) {
    EXPECT_TRUE(rounds_what_f32_gives([&](auto memory) {
      return calls::LinearForward<decltype(memory)>(s, kOdd);
    })) << s.text();
  }
}

class LinearBackwardBf16 : public OpTest {};
TEST_F(LinearBackwardBf16, RoundsWhatF32Gives) {
  for (const bool accumulate : {false, true}) {
    EXPECT_TRUE(rounds_what_f32_gives([&](auto memory) {
      return calls::LinearBackward<decltype(memory)>({21, 40, 11, accumulate}, kOdd);
    }));
  }
}

class SoftmaxCrossEntropyBf16 : public OpTest {};
TEST_F(SoftmaxCrossEntropyBf16, RoundsWhatF32Gives) {
  for (const std::int64_t classes : {1, 10, 70}) {
    EXPECT_TRUE(rounds_what_f32_gives([&](auto memory) {
      calls::SoftmaxCrossEntropy<decltype(memory)> p({19, classes}, kOdd);
      p.weight = 0.5;
      return p;
    })) << classes;
  }
}

class SoftmaxConfidenceBf16 : public OpTest {};
TEST_F(SoftmaxConfidenceBf16, RoundsWhatF32Gives) {
  for (const std::int64_t classes : {2, 10, 70}) {
    EXPECT_TRUE(rounds_what_f32_gives([&](auto memory) {
      return calls::SoftmaxConfidence<decltype(memory)>({19, classes}, kOdd);
    })) << classes;
  }
}

class CountExitsBf16 : public OpTest {};
TEST_F(CountExitsBf16, CountsWhatF32Does) {
  EXPECT_TRUE(rounds_what_f32_gives([&](auto memory) {
    return calls::CountExits<decltype(memory)>({37, 10, 2}, kOdd);
  }));
}

class ConcatBf16 : public OpTest {};
TEST_F(ConcatBf16, JoinsChannels) {
  calls::Concat<Bf16> p({2, 35, 1, 0}, {6, 11}, kOdd, kOdd);
  const Operand<float> a = p.inputs[0].wide(), b = p.inputs[1].wide();
  Operand<float> wide(2, 35, 1, 17);
  for (std::int64_t row = 0; row < wide.rows(); ++row) {
    for (std::int64_t c = 0; c < 17; ++c) wide.at(row, c) = c < 6 ? a.at(row, c) : b.at(row, c - 6);
  }
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
    prepare(context, p);
    calls::run(context, p);
    return p.y.equals(wide);
  }));
}

class GatherRowsBf16 : public OpTest {};
TEST_F(GatherRowsBf16, PicksImages) {
  for (const Gap gap : kLayerGaps) {
    EXPECT_TRUE(rounds_what_f32_gives([&](auto memory) {
      calls::GatherRows<decltype(memory)> p({4, 9, 1, 24}, 3, gap, gap);
      p.index.set(std::vector<std::int32_t>{2, 0, 2});
      return p;
    }));
  }
}

class ImageToFloatBf16 : public OpTest {};
TEST_F(ImageToFloatBf16, RoundsWhatF32Gives) {
  const std::vector<CropFlip, OperandAllocator<CropFlip>> crops = {
      {1, -2, true}, {-3, 0, false}, {0, 4, true}};
  EXPECT_TRUE(rounds_what_f32_gives([&](auto memory) {
    calls::ImageToFloat<decltype(memory)> p({4, 8, 9, {3, 8, 9, 3}}, kOdd);
    p.crops = crops.data();
    return p;
  }));
}

}  // namespace
}  // namespace msd::test
