// SPDX-License-Identifier: MIT
// bf16 activations, for the CUDA backends. An op reads them, computes as in f32 and rounds once, so
// the f32 op on the widened numbers tells its result to the bit.
#include <bit>
#include <vector>

#include "tests/kernels/op_harness.h"

namespace msd::test {
namespace {

using testing::AssertionFailure;
using testing::AssertionResult;
using testing::AssertionSuccess;

constexpr std::uint16_t kGuard = 0x7FC1;  // a NaN that no op makes

float widened(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }
/// To nearest, ties to even.
std::uint16_t rounded(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

/// Rows of c bf16 channels in a pitch of c + 5, from channel 3 on.
class Bf16Rows {
 public:
  Bf16Rows(std::int64_t n, std::int64_t rows, std::int64_t channels)
      : n_(n), rows_(rows), channels_(channels) {
    poison();
  }
  Bf16Rows& random(std::uint64_t seed) {
    Random random(seed);
    for (std::int64_t i = 0; i < n_ * rows_ * channels_; ++i) {
      at(i) = rounded(static_cast<float>(random.uniform(-2.0, 2.0)));
    }
    return *this;
  }
  Bf16Rows& poison() {
    memory_.assign(static_cast<std::size_t>(n_ * rows_ * pitch()), kGuard);
    return *this;
  }
  View view() { return {memory_.data() + 3, DType::bf16, n_, rows_, 1, channels_, pitch()}; }
  /// The same numbers as floats.
  Operand<float> wide() {
    Operand<float> floats(n_, rows_, 1, channels_);
    for (std::int64_t i = 0; i < floats.elems(); ++i) floats.data()[i] = widened(at(i));
    return floats;
  }
  /// Holds the floats rounded, and its guards.
  AssertionResult equals(const Operand<float>& floats) {
    for (std::int64_t i = 0; i < floats.elems(); ++i) {
      if (at(i) == rounded(floats.data()[i])) continue;
      return AssertionFailure() << "element " << i << " is " << widened(at(i)) << ", in f32 "
                                << floats.data()[i];
    }
    for (std::int64_t i = 0; i < n_ * rows_ * pitch(); ++i) {
      const std::int64_t channel = i % pitch() - 3;
      const bool guard = channel < 0 || channel >= channels_;
      if (guard && memory_[static_cast<std::size_t>(i)] != kGuard) {
        return AssertionFailure() << "wrote beside row " << i / pitch();
      }
    }
    return AssertionSuccess();
  }

 private:
  std::int64_t pitch() const { return channels_ + 5; }
  std::uint16_t& at(std::int64_t i) {
    return memory_[static_cast<std::size_t>(i / channels_ * pitch() + 3 + i % channels_)];
  }
  std::int64_t n_, rows_, channels_;
  std::vector<std::uint16_t, OperandAllocator<std::uint16_t>> memory_;
};

struct Shape {
  std::int64_t n, rows, c;
};
constexpr Shape kShapes[] = {{1, 2, 1}, {2, 35, 6}, {3, 300, 24}, {1, 17, 70}};

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

#define MSD_RETURN_IF_FAILED(expression) \
  if (AssertionResult result_ = (expression); !result_) return result_

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
