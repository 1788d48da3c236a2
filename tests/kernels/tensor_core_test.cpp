// SPDX-License-Identifier: MIT
// Convolutions whose factors the tensor cores round: bf16, and f32 with allow_tf32. The reference
// is a double sum of products of the rounded factors, so that only the sum's rounding is left over.
#include <bit>
#include <cmath>
#include <vector>

#include "kernels/cuda/device/context.h"
#include "tests/kernels/bfloat16_rows.h"
#include "tests/kernels/call_runs.h"
#include "tests/kernels/calls/convolution.h"

namespace msd::test {
namespace {

using testing::AssertionFailure;
using testing::AssertionResult;
using testing::AssertionSuccess;

/// To nearest with 10 fraction bits, ties away from zero.
float to_tf32(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return std::bit_cast<float>((bits + (1u << 12)) >> 13 << 13);
}

struct Case {
  calls::ConvShape shape;
  std::int64_t first_channel;  // of x in its rows
  calls::ConvShape with_relu() const { return {shape.n, shape.h, shape.w, shape.g, true, true}; }
  calls::Gaps gaps() const { return {{first_channel, 5}, {1, 2}}; }
};

// Every tile, every width of copy, odd sizes.
const Case kCases[] = {{{2, 5, 7, {6, 6, 3, 1, 1}}, 0},    {{1, 9, 8, {17, 12, 3, 2, 1}}, 1},
                       {{3, 4, 4, {40, 24, 1, 1, 0}}, 2},  {{1, 6, 6, {33, 70, 3, 1, 1}}, 4},
                       {{2, 8, 8, {128, 10, 1, 1, 0}}, 8}, {{1, 11, 13, {3, 16, 7, 2, 3}}, 3}};

template <typename Round>
std::vector<double> each(std::vector<float> values, Round round) {
  for (float& value : values) value = round(value);
  return {values.begin(), values.end()};
}

/// y for factors rounded by `round`, with ReLU, and the sum of the products' sizes.
struct Reference {
  template <typename Call, typename Round>
  Reference(const Call& p, const std::vector<float>& x_values, Round round) : shape(p.shape) {
    const std::vector<double> x = each(x_values, round), weight = each(p.weight.values(), round);
    const auto size = [](std::vector<double> values) {
      for (double& value : values) value = std::abs(value);
      return values;
    };
    y = convolution_y(shape, x, weight, p.bias.doubles());
    sizes = convolution_y(shape, size(x), size(weight), size(p.bias.doubles()));
  }
  /// Sums in float: half an ulp of the running sum for each of its additions, at worst.
  AssertionResult close(const std::vector<float>& values, double relative) const {
    const ConvGeometry& g = shape.g;
    const double terms = static_cast<double>(g.kernel * g.kernel * g.cin + 1);
    for (std::size_t i = 0; i < y.size(); ++i) {
      const double bound = terms * 0x1p-24 * sizes[i] + relative * y[i];
      if (!(std::abs(static_cast<double>(values.at(i)) - y[i]) <= bound)) {
        return AssertionFailure() << shape.text() << "element " << i << " is " << values[i]
                                  << ", not " << y[i] << " within " << bound;
      }
    }
    return AssertionSuccess();
  }
  calls::ConvShape shape;
  std::vector<double> y, sizes;
};

/// A context that allows TF32, for as long as the other stays.
struct WithTf32 {
  explicit WithTf32(const ExecutionContext& other) : device(*other.cuda), context(other) {
    device.allow_tf32 = true;
    context.cuda = &device;
  }
  cuda::Context device;
  ExecutionContext context;
};

class ConvForwardTensorCores : public OpTest {};

TEST_F(ConvForwardTensorCores, Tf32RoundsTheFactorsOnly) {
  for (const Case& c : kCases) {
    calls::ConvForward<Guarded<float>> p(c.with_relu(), {1}, c.gaps());
    const Reference reference(p, p.x.values(), to_tf32);
    EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
      WithTf32 tf32(context);
      run_and_keep(tf32.context, outputs, p);
      MSD_RETURN_IF_FAILED(reference.close(p.y.values(), 0.0));
      return p.y.written();
    }));
    EXPECT_TRUE(p.x.intact());
  }
}

TEST_F(ConvForwardTensorCores, Bf16RoundsTheFactorsAndTheResult) {
  for (const Case& c : kCases) {
    calls::ConvForward<Bf16> p(c.with_relu(), {1}, {{c.first_channel, 3}, {0, 1}});
    const Reference reference(p, p.x.wide().values(),
                              [](float value) { return widened(rounded(value)); });
    EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
      prepare(context, p);
      calls::run(context, p);
      MSD_RETURN_IF_FAILED(p.y.intact());
      return reference.close(p.y.wide().values(), 0x1p-8);
    }));
  }
}

/// Runs a call with allow_tf32 on random factors and without it on the same factors rounded, which
/// leaves nothing for the small parts: what it keeps must be equal.
template <typename Call>
AssertionResult equals_f32_of_rounded(const Case& c) {
  return on_every_backend([&](ExecutionContext& context, Outputs& outputs) -> AssertionResult {
    WithTf32 tf32(context);
    const calls::ConvShape shape = {c.shape.n, c.shape.h, c.shape.w, c.shape.g, false};
    Call p(shape, {1}, c.gaps()), of_rounded(shape, {1}, c.gaps());
    for (Operand<float>* operand : {&of_rounded.x, &of_rounded.y, &of_rounded.weight}) {
      std::vector<float> values = operand->values();
      for (float& value : values) value = to_tf32(value);
      operand->set(values);
    }
    auto& output = std::get<0>(p.outputs());
    prepare(tf32.context, p), prepare(context, of_rounded);
    calls::run(tf32.context, p), calls::run(context, of_rounded);
    Outputs expected;
    outputs.keep("output", output);
    expected.keep("output", std::get<0>(of_rounded.outputs()));
    MSD_RETURN_IF_FAILED(outputs.identical(expected));
    return output.written();
  });
}

class ConvBackwardDataTensorCores : public OpTest {};
TEST_F(ConvBackwardDataTensorCores, Tf32RoundsTheFactorsOnly) {
  for (const Case& c : kCases) {
    EXPECT_TRUE(equals_f32_of_rounded<calls::ConvBackwardData<Guarded<float>>>(c))
        << c.shape.text();
  }
}

class ConvBackwardWeightTensorCores : public OpTest {};
TEST_F(ConvBackwardWeightTensorCores, Tf32RoundsTheFactorsOnly) {
  for (const Case& c : kCases) {
    EXPECT_TRUE(equals_f32_of_rounded<calls::ConvBackwardWeight<Guarded<float>>>(c))
        << c.shape.text();
  }
}

}  // namespace
}  // namespace msd::test
