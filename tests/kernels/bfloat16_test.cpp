// SPDX-License-Identifier: MIT
// Batch norm and moves of rows with bf16 activations.
#include <vector>

#include "tests/kernels/bfloat16_rows.h"

namespace msd::test {
namespace {

using testing::AssertionFailure;
using testing::AssertionResult;
using testing::AssertionSuccess;

/// Per-channel operands; two sets, one for the op in bf16 and one for it in f32.
struct Channels {
  explicit Channels(std::int64_t c)
      : gamma(1, 1, 1, c),
        beta(1, 1, 1, c),
        mean(1, 1, 1, c),
        var(1, 1, 1, c),
        saved_mean(1, 1, 1, c),
        saved_invstd(1, 1, 1, c),
        dgamma(1, 1, 1, c),
        dbeta(1, 1, 1, c) {
    gamma.random(1, 0.5, 1.5);
    beta.random(2);
    mean.random(3);
    var.random(4, 0.5, 2.0);
    dgamma.fill(0.0f);
    dbeta.fill(0.0f);
    saved_mean.random(5);
    saved_invstd.random(6, 0.5, 2.0);
  }
  BatchNormForwardArgs forward(const ConstView& x, const View& y) {
    return {.x = x,
            .y = y,
            .gamma = gamma.data(),
            .beta = beta.data(),
            .running_mean = mean.data(),
            .running_var = var.data(),
            .saved_mean = saved_mean.data(),
            .saved_invstd = saved_invstd.data()};
  }
  BatchNormBackwardArgs backward(const ConstView& x, const ConstView& dy, const View& dx) {
    return {.x = x,
            .dy = dy,
            .dx = dx,
            .gamma = gamma.data(),
            .beta = beta.data(),
            .saved_mean = saved_mean.data(),
            .saved_invstd = saved_invstd.data(),
            .dgamma = dgamma.data(),
            .dbeta = dbeta.data()};
  }
  BatchNormInferenceArgs inference(const ConstView& x, const View& y) {
    return {.x = x,
            .y = y,
            .gamma = gamma.data(),
            .beta = beta.data(),
            .running_mean = mean.data(),
            .running_var = var.data()};
  }
  AssertionResult same(const Channels& other) const {
    Outputs mine, theirs;
    for (const auto member : {&Channels::mean, &Channels::var, &Channels::saved_mean,
                              &Channels::saved_invstd, &Channels::dgamma, &Channels::dbeta}) {
      mine.keep("a channel's number", this->*member);
      theirs.keep("a channel's number", other.*member);
    }
    return mine.identical(theirs);
  }
  Operand<float> gamma, beta, mean, var, saved_mean, saved_invstd, dgamma, dbeta;
};

class BatchnormForwardBf16 : public OpTest {};
TEST_F(BatchnormForwardBf16, RoundsWhatF32Gives) {
  for (const Shape& s : kShapes) {
    Bf16Rows x(s.n, s.rows, s.c), y(s.n, s.rows, s.c);
    Operand<float> wide_x = x.random(11).wide(), wide_y(s.n, s.rows, 1, s.c);
    EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
      Channels narrow(s.c), wide(s.c);
      const BatchNormForwardArgs args[] = {narrow.forward(x.view(), y.poison().view()),
                                           wide.forward(wide_x.view(), wide_y.view())};
      batchnorm_forward(context, args);
      MSD_RETURN_IF_FAILED(narrow.same(wide));
      return y.equals(wide_y);
    })) << s.rows
        << " rows of " << s.c;
  }
}

class BatchnormBackwardBf16 : public OpTest {};
TEST_F(BatchnormBackwardBf16, RoundsWhatF32Gives) {
  for (const Shape& s : kShapes) {
    Bf16Rows x(s.n, s.rows, s.c), dy(s.n, s.rows, s.c), dx(s.n, s.rows, s.c);
    Operand<float> wide_x = x.random(11).wide(), wide_dy = dy.random(12).wide();
    Operand<float> wide_dx(s.n, s.rows, 1, s.c);
    EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
      Channels narrow(s.c), wide(s.c);
      const BatchNormBackwardArgs args[] = {
          narrow.backward(x.view(), dy.view(), dx.poison().view()),
          wide.backward(wide_x.view(), wide_dy.view(), wide_dx.view())};
      batchnorm_backward(context, args);
      MSD_RETURN_IF_FAILED(narrow.same(wide));
      return dx.equals(wide_dx);
    })) << s.rows
        << " rows of " << s.c;
  }
}

class BatchnormInferenceBf16 : public OpTest {};
TEST_F(BatchnormInferenceBf16, RoundsWhatF32Gives) {
  for (const Shape& s : kShapes) {
    Bf16Rows x(s.n, s.rows, s.c), y(s.n, s.rows, s.c);
    Operand<float> wide_x = x.random(11).wide(), wide_y(s.n, s.rows, 1, s.c);
    Channels channels(s.c);
    EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
      const BatchNormInferenceArgs args[] = {channels.inference(x.view(), y.poison().view()),
                                             channels.inference(wide_x.view(), wide_y.view())};
      batchnorm_inference(context, args);
      return y.equals(wide_y);
    })) << s.rows
        << " rows of " << s.c;
  }
}

class AccumulateBf16 : public OpTest {};
TEST_F(AccumulateBf16, RoundsTheSumOnce) {
  for (const Shape& s : kShapes) {
    Bf16Rows x(s.n, s.rows, s.c), y(s.n, s.rows, s.c);
    x.random(1);
    Operand<float> sum = y.random(2).wide();
    const Operand<float> wide_x = x.wide();
    for (std::int64_t i = 0; i < sum.elems(); ++i) sum.data()[i] += wide_x.data()[i];
    EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
      const AccumulateArgs args{x.view(), y.poison().random(2).view()};
      accumulate(context, {&args, 1});
      return y.equals(sum);
    })) << s.rows
        << " rows of " << s.c;
  }
}

class CopyBf16 : public OpTest {};
TEST_F(CopyBf16, CopiesAndFills) {
  for (const Shape& s : kShapes) {
    Bf16Rows x(s.n, s.rows, s.c), y(s.n, s.rows, s.c);
    Operand<float> wide = x.random(1).wide(), thirds(s.n, s.rows, 1, s.c);
    thirds.fill(1.0f / 3.0f);
    EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
      const CopyArgs args{x.view(), y.poison().view()};
      copy(context, {&args, 1});
      MSD_RETURN_IF_FAILED(y.equals(wide));
      const FillArgs third{y.view(), 1.0 / 3.0};
      fill(context, {&third, 1});
      return y.equals(thirds);
    })) << s.rows
        << " rows of " << s.c;
  }
}

}  // namespace
}  // namespace msd::test
