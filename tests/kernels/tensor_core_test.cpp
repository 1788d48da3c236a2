// SPDX-License-Identifier: MIT
// Convolutions whose factors the tensor cores round: bf16, and f32 with allow_tf32. The reference
// is a double sum of products of the rounded factors, so that only the sum's rounding is left over.
#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "kernels/cuda/device/context.h"
#include "tests/kernels/op_harness.h"

namespace msd::test {
namespace {

using testing::AssertionFailure;
using testing::AssertionResult;
using testing::AssertionSuccess;

/// To nearest with `bits` fraction bits less than a float's; ties to even, or away from zero.
float rounded(float value, int bits, bool ties_to_even) {
  const auto all = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t half = 1u << (bits - 1);
  const std::uint32_t up = ties_to_even ? half - 1 + (all >> bits & 1u) : half;
  return std::bit_cast<float>((all + up) >> bits << bits);
}
float to_bf16(float value) { return rounded(value, 16, true); }
float to_tf32(float value) { return rounded(value, 13, false); }
std::uint16_t bf16_bits(float value) {
  return static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(to_bf16(value)) >> 16);
}
float widened(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

struct Case {
  std::int64_t n, h, w;
  ConvGeometry g;
  std::int64_t first_channel;  // of x in its rows
};

// Every tile, every width of copy, odd sizes.
const Case kCases[] = {{2, 5, 7, {6, 6, 3, 1, 1}, 0},    {1, 9, 8, {17, 12, 3, 2, 1}, 1},
                       {3, 4, 4, {40, 24, 1, 1, 0}, 2},  {1, 6, 6, {33, 70, 3, 1, 1}, 4},
                       {2, 8, 8, {128, 10, 1, 1, 0}, 8}, {1, 11, 13, {3, 16, 7, 2, 3}, 3}};

/// sum over taps and channels of x * w + bias, with relu; and the sum of the products' sizes.
struct Reference {
  Reference(const Case& c, const std::vector<float>& x, const std::vector<float>& weight,
            const std::vector<float>& bias) {
    const ConvGeometry& g = c.g;
    const std::int64_t out_h = g.out_size(c.h), out_w = g.out_size(c.w);
    for (std::int64_t row = 0; row < c.n * out_h * out_w; ++row) {
      const std::int64_t n = row / (out_h * out_w), oy = row / out_w % out_h, ox = row % out_w;
      for (std::int64_t co = 0; co < g.cout; ++co) {
        double sum = static_cast<double>(bias[static_cast<std::size_t>(co)]), size = std::abs(sum);
        for (std::int64_t tap = 0; tap < g.kernel * g.kernel; ++tap) {
          const std::int64_t iy = oy * g.stride + tap / g.kernel - g.padding;
          const std::int64_t ix = ox * g.stride + tap % g.kernel - g.padding;
          if (iy < 0 || iy >= c.h || ix < 0 || ix >= c.w) continue;
          for (std::int64_t ci = 0; ci < g.cin; ++ci) {
            const double product =
                static_cast<double>(
                    x[static_cast<std::size_t>(((n * c.h + iy) * c.w + ix) * g.cin + ci)]) *
                static_cast<double>(weight[static_cast<std::size_t>(
                    (co * g.kernel * g.kernel + tap) * g.cin + ci)]);
            sum += product;
            size += std::abs(product);
          }
        }
        y.push_back(std::max(sum, 0.0));
        sizes.push_back(size);
      }
    }
  }
  std::vector<double> y, sizes;
};

std::vector<float> random_floats(std::int64_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i) {
    values.push_back(static_cast<float>(random.uniform(-1.0, 1.0)));
  }
  return values;
}

template <typename Round>
std::vector<float> each(std::vector<float> values, Round round) {
  for (float& value : values) value = round(value);
  return values;
}

/// A case with random numbers, and the reference for factors rounded by `round`.
struct Problem {
  template <typename Round>
  Problem(const Case& given, Round round)
      : c(given),
        x(random_floats(c.n * c.h * c.w * c.g.cin, 1)),
        weight(random_floats(c.g.weight_elems(), 2)),
        bias(random_floats(c.g.cout, 3)),
        reference(c, each(x, round), each(weight, round), bias) {}
  const Case& c;
  std::vector<float> x, weight, bias;
  Reference reference;

  std::string name() const {
    return message("cin ", c.g.cin, ", cout ", c.g.cout, ", kernel ", c.g.kernel, ": ");
  }
  /// Sums in float: half an ulp of the running sum for each of its additions, at worst.
  AssertionResult close(std::size_t i, float value, double relative) const {
    const double terms = static_cast<double>(c.g.kernel * c.g.kernel * c.g.cin + 1);
    const double bound = terms * 0x1p-24 * reference.sizes[i] + relative * reference.y[i];
    if (!(std::abs(static_cast<double>(value) - reference.y[i]) <= bound)) {
      return AssertionFailure() << name() << "element " << i << " is " << value << ", not "
                                << reference.y[i] << " within " << bound;
    }
    return AssertionSuccess();
  }
};

class ConvForwardTensorCores : public OpTest {};

TEST_F(ConvForwardTensorCores, Tf32RoundsTheFactorsOnly) {
  for (const Case& c : kCases) {
    Problem p(c, to_tf32);
    Operand<float> x(c.n, c.h, c.w, c.g.cin, {c.first_channel, 5});
    Operand<float> y(c.n, c.g.out_size(c.h), c.g.out_size(c.w), c.g.cout, {1, 2});
    Operand<float> weight = Operand<float>::vector(c.g.weight_elems());
    Operand<float> bias = Operand<float>::vector(c.g.cout);
    Operand<float> packed = Operand<float>::vector(conv_packed_elems(c.g, ConvPass::forward));
    x.set(p.x), weight.set(p.weight), bias.set(p.bias);
    EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
      cuda::Context tf32 = *context.cuda;
      tf32.allow_tf32 = true;
      ExecutionContext with_tf32 = context;
      with_tf32.cuda = &tf32;
      const ConvPackArgs pack{weight.data(), packed.data(), c.g, ConvPass::forward, DType::f32};
      conv_pack(with_tf32, {&pack, 1});
      y.poison();
      const ConvForwardArgs args{x.view(), packed.data(), bias.data(), y.view(), c.g, true};
      conv_forward(with_tf32, {&args, 1});
      outputs.keep("y", y);
      const std::vector<float> values = y.values();
      for (std::size_t i = 0; i < values.size(); ++i) {
        if (AssertionResult result = p.close(i, values[i], 0.0); !result) return result;
      }
      return y.written();
    }));
    EXPECT_TRUE(x.intact());
  }
}

TEST_F(ConvForwardTensorCores, Bf16RoundsTheFactorsAndTheResult) {
  constexpr std::uint16_t kGuard = 0x7FC1;  // a NaN that no op makes
  using Bits = std::vector<std::uint16_t, OperandAllocator<std::uint16_t>>;
  for (const Case& c : kCases) {
    Problem p(c, to_bf16);
    const std::int64_t x_pitch = c.first_channel + c.g.cin + 3, y_pitch = c.g.cout + 1;
    const std::int64_t out_h = c.g.out_size(c.h), out_w = c.g.out_size(c.w);
    Bits x(static_cast<std::size_t>(c.n * c.h * c.w * x_pitch), kGuard);
    for (std::size_t i = 0; i < p.x.size(); ++i) {
      const auto at = static_cast<std::int64_t>(i);
      x[static_cast<std::size_t>(at / c.g.cin * x_pitch + c.first_channel + at % c.g.cin)] =
          bf16_bits(p.x[i]);
    }
    Bits packed(static_cast<std::size_t>(conv_packed_elems(c.g, ConvPass::forward)), kGuard);
    Bits y(static_cast<std::size_t>(c.n * out_h * out_w * y_pitch));
    Operand<float> weight = Operand<float>::vector(c.g.weight_elems());
    Operand<float> bias = Operand<float>::vector(c.g.cout);
    weight.set(p.weight), bias.set(p.bias);
    EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
      const ConvPackArgs pack{weight.data(), packed.data(), c.g, ConvPass::forward, DType::bf16};
      conv_pack(context, {&pack, 1});
      std::fill(y.begin(), y.end(), kGuard);
      const View x_view{x.data() + c.first_channel, DType::bf16, c.n, c.h, c.w, c.g.cin, x_pitch};
      const View y_view{y.data(), DType::bf16, c.n, out_h, out_w, c.g.cout, y_pitch};
      const ConvForwardArgs args{x_view, packed.data(), bias.data(), y_view, c.g, true};
      conv_forward(context, {&args, 1});
      for (std::size_t i = 0; i < y.size(); ++i) {
        const std::size_t channel = i % static_cast<std::size_t>(y_pitch);
        const std::size_t row = i / static_cast<std::size_t>(y_pitch);
        if (channel == static_cast<std::size_t>(c.g.cout)) {
          if (y[i] != kGuard) return AssertionFailure() << "wrote beside row " << row;
          continue;
        }
        const AssertionResult result =
            p.close(row * static_cast<std::size_t>(c.g.cout) + channel, widened(y[i]), 0x1p-8);
        if (!result) return result;
      }
      return AssertionSuccess();
    }));
  }
}

/// Runs op(context, outputs, x, y, weight) with allow_tf32 on random factors and without it on the
/// same factors rounded, which leaves nothing for the small parts: what it keeps must be equal.
template <typename Op>
AssertionResult equals_f32_of_rounded(const Case& c, Op op) {
  const auto operands = [&](bool are_rounded, ExecutionContext& context, Outputs& outputs) {
    Operand<float> x(c.n, c.h, c.w, c.g.cin, {c.first_channel, 5});
    Operand<float> y(c.n, c.g.out_size(c.h), c.g.out_size(c.w), c.g.cout, {1, 2});
    Operand<float> weight = Operand<float>::vector(c.g.weight_elems());
    const auto fill = [&](Operand<float>& operand, std::uint64_t seed) {
      const std::vector<float> values = random_floats(operand.elems(), seed);
      operand.set(are_rounded ? each(values, to_tf32) : values);
    };
    fill(x, 1), fill(y, 2), fill(weight, 3);
    return op(context, outputs, x, y, weight);
  };
  return on_every_backend([&](ExecutionContext& context, Outputs& outputs) -> AssertionResult {
    cuda::Context tf32 = *context.cuda;
    tf32.allow_tf32 = true;
    ExecutionContext with_tf32 = context;
    with_tf32.cuda = &tf32;
    if (AssertionResult result = operands(false, with_tf32, outputs); !result) return result;
    Outputs of_rounded;
    if (AssertionResult result = operands(true, context, of_rounded); !result) return result;
    return outputs.identical(of_rounded);
  });
}

class ConvBackwardDataTensorCores : public OpTest {};
TEST_F(ConvBackwardDataTensorCores, Tf32RoundsTheFactorsOnly) {
  for (const Case& c : kCases) {
    EXPECT_TRUE(equals_f32_of_rounded(c, [&](ExecutionContext& context, Outputs& outputs,
                                             Operand<float>& x, Operand<float>& y,
                                             Operand<float>& weight) {
      Operand<float> packed = weight.vector(conv_packed_elems(c.g, ConvPass::backward_data));
      const ConvPackArgs pack{weight.data(), packed.data(), c.g, ConvPass::backward_data,
                              DType::f32};
      conv_pack(context, {&pack, 1});
      x.poison();
      const ConvBackwardDataArgs args{y.view(), packed.data(), x.view(), c.g, false};
      conv_backward_data(context, {&args, 1});
      outputs.keep("dx", x);
      return x.written();
    })) << c.g.cin;
  }
}

class ConvBackwardWeightTensorCores : public OpTest {};
TEST_F(ConvBackwardWeightTensorCores, Tf32RoundsTheFactorsOnly) {
  for (const Case& c : kCases) {
    EXPECT_TRUE(equals_f32_of_rounded(c, [&](ExecutionContext& context, Outputs& outputs,
                                             Operand<float>& x, Operand<float>& y,
                                             Operand<float>& weight) {
      const std::int64_t bytes =
          conv_backward_weight_workspace_bytes(c.g, c.n, c.h, c.w, DType::f32);
      Operand<float> workspace = weight.vector(bytes / 4);
      weight.poison();
      const ConvBackwardWeightArgs args{x.view(), y.view(),         weight.data(), nullptr,
                                        c.g,      workspace.data(), bytes};
      conv_backward_weight(context, {&args, 1});
      outputs.keep("dw", weight);
      return weight.written();
    })) << c.g.cout;
  }
}

}  // namespace
}  // namespace msd::test
