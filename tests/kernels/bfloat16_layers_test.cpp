// SPDX-License-Identifier: MIT
// Pooling, linear layers, classification and image movement with bf16 activations.
#include <vector>

#include "tests/kernels/bfloat16_rows.h"

namespace msd::test {
namespace {

using testing::AssertionFailure;
using testing::AssertionResult;
using testing::AssertionSuccess;

/// Rows as images of a width.
template <typename V>
V images(V view, std::int64_t width) {
  view.h /= width;
  view.w = width;
  return view;
}

constexpr Gap kGaps[] = {{3, 2}, {0, 0}};  // odd, and where 8 channels go at once

class MaxPoolForwardBf16 : public OpTest {};
TEST_F(MaxPoolForwardBf16, IsExact) {
  for (const Gap gap : kGaps) {
    Bf16Rows x(2, 7 * 6, 24, gap), y(2, 4 * 3, 24, gap);
    Operand<float> wide_x = x.random(1).wide(), wide_y(2, 12, 1, 24);
    EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
      const MaxPoolForwardArgs args[] = {
          {images(x.view(), 6), images(y.poison().view(), 3), {3, 2, 1}},
          {images(wide_x.view(), 6), images(wide_y.view(), 3), {3, 2, 1}}};
      max_pool_forward(context, args);
      return y.equals(wide_y);
    }));
  }
}

class MaxPoolBackwardBf16 : public OpTest {};
TEST_F(MaxPoolBackwardBf16, RoundsWhatF32Gives) {
  for (const Gap gap : kGaps) {
    for (const bool accumulate : {false, true}) {
      Bf16Rows x(2, 7 * 6, 24, gap), dy(2, 4 * 3, 24, gap), dx(2, 7 * 6, 24, gap);
      Operand<float> wide_x = x.random(1).wide(), wide_dy = dy.random(2).wide();
      EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
        Operand<float> wide_dx = dx.poison().random(3).wide();
        const MaxPoolBackwardArgs args[] = {{images(x.view(), 6),
                                             images(dy.view(), 3),
                                             images(dx.view(), 6),
                                             {3, 2, 1},
                                             accumulate},
                                            {images(wide_x.view(), 6),
                                             images(wide_dy.view(), 3),
                                             images(wide_dx.view(), 6),
                                             {3, 2, 1},
                                             accumulate}};
        max_pool_backward(context, args);
        return dx.equals(wide_dx);
      }));
    }
  }
}

class AvgPoolForwardBf16 : public OpTest {};
TEST_F(AvgPoolForwardBf16, RoundsWhatF32Gives) {
  for (const Gap gap : kGaps) {
    Bf16Rows x(3, 7 * 6, 24, gap), y(3, 2 * 2, 24, gap);
    Operand<float> wide_x = x.random(1).wide(), wide_y(3, 4, 1, 24);
    EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
      const AvgPoolForwardArgs args[] = {
          {images(x.view(), 6), images(y.poison().view(), 2), 3, 3},
          {images(wide_x.view(), 6), images(wide_y.view(), 2), 3, 3}};
      avg_pool_forward(context, args);
      return y.equals(wide_y);
    }));
  }
}

class AvgPoolBackwardBf16 : public OpTest {};
TEST_F(AvgPoolBackwardBf16, RoundsWhatF32Gives) {
  for (const Gap gap : kGaps) {
    for (const bool accumulate : {false, true}) {
      Bf16Rows dy(3, 2 * 2, 24, gap), dx(3, 7 * 6, 24, gap);
      Operand<float> wide_dy = dy.random(1).wide();
      EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
        Operand<float> wide_dx = dx.poison().random(3).wide();
        const AvgPoolBackwardArgs args[] = {
            {images(dy.view(), 2), images(dx.view(), 6), 3, 3, accumulate},
            {images(wide_dy.view(), 2), images(wide_dx.view(), 6), 3, 3, accumulate}};
        avg_pool_backward(context, args);
        return dx.equals(wide_dx);
      }));
    }
  }
}

class LinearForwardBf16 : public OpTest {};
TEST_F(LinearForwardBf16, RoundsWhatF32Gives) {
  for (const Shape& s : kShapes) {
    const std::int64_t out = s.c + 9;
    Bf16Rows x(s.n, s.rows, s.c), y(s.n, s.rows, out);
    Operand<float> wide_x = x.random(1).wide(), wide_y(s.n, s.rows, 1, out);
    Operand<float> weight(1, 1, out, s.c), bias(1, 1, 1, out);
    weight.random(2), bias.random(3);
    EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
      const LinearForwardArgs args[] = {{x.view(), weight.data(), bias.data(), y.poison().view()},
                                        {wide_x.view(), weight.data(), bias.data(), wide_y.view()}};
      linear_forward(context, args);
      return y.equals(wide_y);
    })) << s.rows
        << " rows of " << s.c;
  }
}

class LinearBackwardBf16 : public OpTest {};
TEST_F(LinearBackwardBf16, RoundsWhatF32Gives) {
  for (const bool accumulate : {false, true}) {
    const std::int64_t n = 21, in = 40, out = 11;
    Bf16Rows x(n, 1, in), dy(n, 1, out), dx(n, 1, in);
    Operand<float> wide_x = x.random(1).wide(), wide_dy = dy.random(2).wide();
    Operand<float> weight(1, 1, out, in), dw(1, 1, out, in), wide_dw(1, 1, out, in);
    Operand<float> dbias(1, 1, 1, out), wide_dbias(1, 1, 1, out);
    weight.random(3);
    EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
      Operand<float> wide_dx = dx.poison().random(4).wide();
      const LinearBackwardArgs args[] = {
          {x.view(), dy.view(), weight.data(), dx.view(), dw.data(), dbias.data(), accumulate},
          {wide_x.view(), wide_dy.view(), weight.data(), wide_dx.view(), wide_dw.data(),
           wide_dbias.data(), accumulate}};
      linear_backward(context, args);
      Outputs narrow, wide;
      narrow.keep("dw", dw), narrow.keep("dbias", dbias);
      wide.keep("dw", wide_dw), wide.keep("dbias", wide_dbias);
      MSD_RETURN_IF_FAILED(narrow.identical(wide));
      return dx.equals(wide_dx);
    }));
  }
}

class SoftmaxCrossEntropyBf16 : public OpTest {};
TEST_F(SoftmaxCrossEntropyBf16, RoundsWhatF32Gives) {
  for (const std::int64_t classes : {1, 10, 70}) {
    Bf16Rows logits(19, 1, classes), dlogits(19, 1, classes);
    Operand<float> wide_logits = logits.random(1).wide(), wide_dlogits(19, 1, 1, classes);
    Operand<float> loss(1, 1, 1, 1), wide_loss(1, 1, 1, 1);
    Operand<std::int32_t> labels(1, 1, 1, 19);
    labels.integers(2, 0, classes - 1);
    EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
      const SoftmaxCrossEntropyArgs args[] = {
          {logits.view(), labels.data(), 0.5, loss.data(), dlogits.poison().view()},
          {wide_logits.view(), labels.data(), 0.5, wide_loss.data(), wide_dlogits.view()}};
      softmax_cross_entropy(context, args);
      if (loss.values() != wide_loss.values()) return AssertionFailure() << "losses differ";
      return dlogits.equals(wide_dlogits);
    })) << classes;
  }
}

class SoftmaxConfidenceBf16 : public OpTest {};
TEST_F(SoftmaxConfidenceBf16, RoundsWhatF32Gives) {
  struct Values {
    Operand<float> max{1, 1, 1, 19}, second{1, 1, 1, 19}, entropy{1, 1, 1, 19};
    Operand<std::int32_t> argmax{1, 1, 1, 19}, top5{19, 1, 1, 5};
    void keep(Outputs& outputs) const {
      outputs.keep("max", max), outputs.keep("second", second), outputs.keep("entropy", entropy);
      outputs.keep("argmax", argmax), outputs.keep("top5", top5);
    }
  };
  for (const std::int64_t classes : {2, 10, 70}) {
    Bf16Rows logits(19, 1, classes), probabilities(19, 1, classes);
    Operand<float> wide_logits = logits.random(1).wide(), wide_probabilities(19, 1, 1, classes);
    Values narrow, wide;
    EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
      const SoftmaxConfidenceArgs args[] = {
          {logits.view(), probabilities.poison().view(), narrow.max.data(), narrow.second.data(),
           narrow.entropy.data(), narrow.argmax.data(), narrow.top5.data()},
          {wide_logits.view(), wide_probabilities.view(), wide.max.data(), wide.second.data(),
           wide.entropy.data(), wide.argmax.data(), wide.top5.data()}};
      softmax_confidence(context, args);
      Outputs a, b;
      narrow.keep(a), wide.keep(b);
      MSD_RETURN_IF_FAILED(a.identical(b));
      return probabilities.equals(wide_probabilities);
    })) << classes;
  }
}

class CountExitsBf16 : public OpTest {};
TEST_F(CountExitsBf16, CountsWhatF32Does) {
  Bf16Rows first(37, 1, 10), second(37, 1, 10);
  Operand<float> wide_first = first.random(1).wide(), wide_second = second.random(2).wide();
  const std::vector<ConstView> narrow = {first.view(), second.view()};
  const std::vector<ConstView> wide = {wide_first.view(), wide_second.view()};
  Operand<std::int32_t> labels(1, 1, 1, 37);
  labels.integers(3, 0, 9);
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
    Operand<float> sums(1, 1, 37, 10), wide_sums(1, 1, 37, 10);
    Operand<double> loss(1, 1, 1, 2), wide_loss(1, 1, 1, 2);
    Operand<std::int64_t> correct(1, 1, 2, 4), wide_correct(1, 1, 2, 4);
    loss.fill(0.0), wide_loss.fill(0.0), correct.fill(0), wide_correct.fill(0);
    const CountExitsArgs args[] = {
        {narrow, labels.data(), sums.data(), loss.data(), correct.data()},
        {wide, labels.data(), wide_sums.data(), wide_loss.data(), wide_correct.data()}};
    count_exits(context, args);
    Outputs a, b;
    a.keep("loss", loss), a.keep("correct", correct);
    b.keep("loss", wide_loss), b.keep("correct", wide_correct);
    return a.identical(b);
  }));
}

class ConcatBf16 : public OpTest {};
TEST_F(ConcatBf16, JoinsChannels) {
  Bf16Rows a(2, 35, 6), b(2, 35, 11), y(2, 35, 17);
  const Operand<float> wide_a = a.random(1).wide(), wide_b = b.random(2).wide();
  Operand<float> wide(2, 35, 1, 17);
  for (std::int64_t row = 0; row < wide.rows(); ++row) {
    for (std::int64_t c = 0; c < 17; ++c) {
      wide.at(row, c) = c < 6 ? wide_a.at(row, c) : wide_b.at(row, c - 6);
    }
  }
  const std::vector<ConstView> inputs = {a.view(), b.view()};
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
    const ConcatArgs args{inputs, y.poison().view()};
    concat(context, {&args, 1});
    return y.equals(wide);
  }));
}

class GatherRowsBf16 : public OpTest {};
TEST_F(GatherRowsBf16, PicksImages) {
  for (const Gap gap : kGaps) {
    Bf16Rows x(4, 9, 24, gap), y(3, 9, 24, gap);
    Operand<float> wide_x = x.random(1).wide(), wide_y(3, 9, 1, 24);
    Operand<std::int32_t> index(1, 1, 1, 3);
    index.set(std::vector<std::int32_t>{2, 0, 2});
    EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
      const GatherRowsArgs args[] = {{x.view(), index.data(), y.poison().view()},
                                     {wide_x.view(), index.data(), wide_y.view()}};
      gather_rows(context, args);
      return y.equals(wide_y);
    }));
  }
}

class ImageToFloatBf16 : public OpTest {};
TEST_F(ImageToFloatBf16, RoundsWhatF32Gives) {
  Operand<std::uint8_t> pixels(4, 8, 9, 3);
  Operand<std::int64_t> index(1, 1, 1, 3);
  Operand<float> mean(1, 1, 1, 3), std(1, 1, 1, 3), wide_y(3, 72, 1, 3);
  pixels.integers(1, 0, 255), index.integers(2, 0, 3);
  mean.random(3, 100.0, 140.0), std.random(4, 50.0, 70.0);
  std::vector<CropFlip, OperandAllocator<CropFlip>> crops = {
      {1, -2, true}, {-3, 0, false}, {0, 4, true}};
  Bf16Rows y(3, 72, 3);
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
    const auto args_for = [&](const View& out) {
      return ImageToFloatArgs{
          pixels.data(), 4, 8, 9, index.data(), crops.data(), mean.data(), std.data(),
          images(out, 9)};
    };
    const ImageToFloatArgs args[] = {args_for(y.poison().view()), args_for(wide_y.view())};
    image_to_float(context, args);
    return y.equals(wide_y);
  }));
}

}  // namespace
}  // namespace msd::test
