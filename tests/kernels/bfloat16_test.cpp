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

/// Rows of c bf16 channels between those of the gap.
class Bf16Rows {
 public:
  Bf16Rows(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t channels, Gap gap)
      : n_(n), h_(h), w_(w), channels_(channels), gap_(gap) {
    poison();
  }
  Bf16Rows(std::int64_t n, std::int64_t rows, std::int64_t channels)
      : Bf16Rows(n, rows, 1, channels, {3, 2}) {}
  Bf16Rows& random(std::uint64_t seed) {
    Random random(seed);
    for (std::int64_t i = 0; i < elems(); ++i) {
      at(i) = rounded(static_cast<float>(random.uniform(-2.0, 2.0)));
    }
    return *this;
  }
  Bf16Rows& integers(std::uint64_t seed) {
    Random random(seed);
    for (std::int64_t i = 0; i < elems(); ++i) {
      at(i) = rounded(static_cast<float>(random.integer(-60, 60)));
    }
    return *this;
  }
  Bf16Rows& poison() {
    memory_.assign(static_cast<std::size_t>(rows() * pitch()), kGuard);
    return *this;
  }
  View view() {
    return {memory_.data() + gap_.before, DType::bf16, n_, h_, w_, channels_, pitch()};
  }
  /// The same numbers as floats.
  Operand<float> wide() {
    Operand<float> floats(n_, h_, w_, channels_);
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
    for (std::int64_t i = 0; i < rows() * pitch(); ++i) {
      const std::int64_t channel = i % pitch() - gap_.before;
      const bool guard = channel < 0 || channel >= channels_;
      if (guard && memory_[static_cast<std::size_t>(i)] != kGuard) {
        return AssertionFailure() << "wrote beside row " << i / pitch();
      }
    }
    return AssertionSuccess();
  }

 private:
  std::int64_t rows() const { return n_ * h_ * w_; }
  std::int64_t elems() const { return rows() * channels_; }
  std::int64_t pitch() const { return gap_.before + channels_ + gap_.after; }
  std::uint16_t& at(std::int64_t i) {
    return memory_[static_cast<std::size_t>(i / channels_ * pitch() + gap_.before + i % channels_)];
  }
  std::int64_t n_, h_, w_, channels_;
  Gap gap_;
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

// Small integers, whose sums are exact in float: the order of sums, which differs, doesn't matter.
struct ConvCase {
  std::int64_t n, h, w;
  ConvGeometry g;
  Gap x_gap, dy_gap;  // for every width of copy
};
// Every tile of both ops, several splits of the rows.
const ConvCase kConvCases[] = {{1, 5, 7, {6, 6, 3, 1, 1}, {3, 2}, {0, 2}},
                               {2, 13, 12, {12, 12, 3, 1, 1}, {4, 4}, {2, 1}},
                               {2, 12, 13, {20, 24, 3, 2, 1}, {2, 2}, {8, 8}},
                               {3, 11, 9, {40, 40, 1, 1, 0}, {0, 0}, {4, 0}},
                               {1, 9, 8, {70, 6, 2, 3, 0}, {1, 1}, {2, 2}}};
constexpr std::int64_t kInts = 40;  // of a weight

class ConvBackwardDataBf16 : public OpTest {};
TEST_F(ConvBackwardDataBf16, RoundsWhatF32Gives) {
  for (const ConvCase& c : kConvCases) {
    const ConvGeometry& g = c.g;
    const std::int64_t elems = conv_packed_elems(g, ConvPass::backward_data);
    Bf16Rows dy(c.n, g.out_size(c.h), g.out_size(c.w), g.cout, c.dy_gap);
    Bf16Rows dx(c.n, c.h, c.w, g.cin, c.x_gap);
    const Operand<float> wide_dy = dy.integers(1).wide();
    Operand<float> weight = Operand<float>::vector(g.weight_elems());
    weight.integers(2, -kInts, kInts);
    std::vector<std::uint16_t, OperandAllocator<std::uint16_t>> packed(
        static_cast<std::size_t>(elems));
    Operand<float> wide_packed = Operand<float>::vector(elems);
    for (const bool accumulate : {false, true}) {
      EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
        const auto pack = [&](void* to, DType dtype) {
          return ConvPackArgs{weight.data(), to, g, ConvPass::backward_data, dtype};
        };
        const ConvPackArgs packs[] = {pack(packed.data(), DType::bf16),
                                      pack(wide_packed.data(), DType::f32)};
        conv_pack(context, packs);
        Operand<float> wide_dx = dx.integers(3).wide();
        if (!accumulate) dx.poison(), wide_dx.poison();
        const ConvBackwardDataArgs args[] = {
            {dy.view(), packed.data(), dx.view(), g, accumulate},
            {wide_dy.view(), wide_packed.data(), wide_dx.view(), g, accumulate}};
        conv_backward_data(context, args);
        return dx.equals(wide_dx);
      })) << "cin "
          << g.cin << ", cout " << g.cout << (accumulate ? ", accumulated" : "");
    }
  }
}

class ConvBackwardWeightBf16 : public OpTest {};
TEST_F(ConvBackwardWeightBf16, GivesWhatF32Gives) {
  for (const ConvCase& c : kConvCases) {
    const ConvGeometry& g = c.g;
    Bf16Rows x(c.n, c.h, c.w, g.cin, c.x_gap);
    Bf16Rows dy(c.n, g.out_size(c.h), g.out_size(c.w), g.cout, c.dy_gap);
    const Operand<float> wide_x = x.integers(1).wide(), wide_dy = dy.integers(2).wide();
    const std::int64_t bytes = conv_backward_weight_workspace_bytes(g, c.n, c.h, c.w, DType::bf16);
    EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
      Operand<float> dw = Operand<float>::vector(g.weight_elems()), wide_dw = dw.vector(dw.elems());
      Operand<float> dbias = Operand<float>::vector(g.cout), wide_dbias = dbias.vector(g.cout);
      Operand<float> workspace = dw.vector(bytes / 4), wide_workspace = dw.vector(bytes / 4);
      const ConvBackwardWeightArgs args[] = {
          {x.view(), dy.view(), dw.data(), dbias.data(), g, workspace.data(), bytes},
          {wide_x.view(), wide_dy.view(), wide_dw.data(), wide_dbias.data(), g,
           wide_workspace.data(), bytes}};
      conv_backward_weight(context, args);
      for (const Operand<float>* operand : {&dw, &dbias}) {
        MSD_RETURN_IF_FAILED(operand->written());
      }
      MSD_RETURN_IF_FAILED(workspace.intact());
      Outputs narrow, wide;
      narrow.keep("dw", dw), narrow.keep("dbias", dbias);
      wide.keep("dw", wide_dw), wide.keep("dbias", wide_dbias);
      return narrow.identical(wide);
    })) << "cin "
        << g.cin << ", cout " << g.cout;
  }
}

}  // namespace
}  // namespace msd::test
