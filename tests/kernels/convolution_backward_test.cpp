// SPDX-License-Identifier: MIT
#include <vector>

#include "tests/kernels/convolution_cases.h"

namespace msd::test::conv {
namespace {

using testing::AssertionFailure;
using testing::AssertionResult;
using testing::AssertionSuccess;

template <typename T>
AssertionResult check_backward_data(const Case& c, bool accumulate,
                                    Values values = Values::random) {
  Operands<T> o = operands<T>(c, values, 21);
  const std::vector<T> before = o.x.values();
  std::vector<double> reference = reference_dx(c, o.y.doubles(), o.weight.doubles());
  for (std::size_t i = 0; i < reference.size() && accumulate; ++i) {
    reference[i] += static_cast<double>(before[i]);
  }
  const Tolerance allowed = values == Values::integers
                                ? Tolerance{}
                                : tolerance<T>(c.g.kernel * c.g.kernel * c.g.cout + 1);
  const AssertionResult result = on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
    const Operand<T> weight = packed(context, c, o.weight, ConvPass::backward_data);
    accumulate ? o.x.set(before) : o.x.poison();
    const ConvBackwardDataArgs args{o.y.view(), weight.data(), o.x.view(), c.g, accumulate};
    conv_backward_data(context, {&args, 1});
    outputs.keep("dx", o.x);
    return compare("dx", o.x, reference, allowed);
  });
  return named(c, result ? o.intact() : result);
}

template <typename T>
AssertionResult check_backward_weight(const Case& c, bool with_bias,
                                      Values values = Values::random) {
  Operands<T> o = operands<T>(c, values, 31);
  const std::vector<double> dw = reference_dw(c, o.x.doubles(), o.y.doubles());
  const std::vector<double> dbias = reference_dbias(c, o.y.doubles());
  const std::int64_t bytes = conv_backward_weight_workspace_bytes(c.g, c.n, c.h, c.w, kDTypeOf<T>);
  Operand<T> workspace = Operand<T>::vector(bytes / static_cast<std::int64_t>(sizeof(T)));
  const Tolerance allowed =
      values == Values::integers ? Tolerance{} : tolerance<T>(c.n * c.out_h() * c.out_w());
  const AssertionResult result = on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
    o.weight.poison(), o.bias.poison(), workspace.poison();
    const ConvBackwardWeightArgs args{
        o.x.view(),       o.y.view(), o.weight.data(), with_bias ? o.bias.data() : nullptr, c.g,
        workspace.data(), bytes};
    conv_backward_weight(context, {&args, 1});
    outputs.keep("dw", o.weight);
    if (AssertionResult r = compare("dw", o.weight, dw, allowed); !r) return r;
    if (!with_bias) return workspace.intact();
    outputs.keep("dbias", o.bias);
    if (AssertionResult r = compare("dbias", o.bias, dbias, allowed); !r) return r;
    return workspace.intact();
  });
  return named(c, result ? o.intact() : result);
}

template <typename T>
class ConvBackwardData : public OpTest {};
template <typename T>
class ConvBackwardWeight : public OpTest {};
TYPED_TEST_SUITE(ConvBackwardData, FloatTypes);
TYPED_TEST_SUITE(ConvBackwardWeight, FloatTypes);

TYPED_TEST(ConvBackwardData, MatchesTheReferenceOverGeometries) {
  bool accumulate = false;
  for (const Case& c : geometry_cases()) {
    accumulate = !accumulate;
    EXPECT_TRUE(check_backward_data<TypeParam>(c, accumulate));
  }
}

TYPED_TEST(ConvBackwardData, MatchesTheReferenceOverChannels) {
  for (const Case& c : channel_cases()) EXPECT_TRUE(check_backward_data<TypeParam>(c, true));
}

TYPED_TEST(ConvBackwardData, MatchesTheReferenceOnTheNetworksShapes) {
  for (const Case& c : network_cases()) EXPECT_TRUE(check_backward_data<TypeParam>(c, false));
  for (const Case& c : large_cases()) EXPECT_TRUE(check_backward_data<TypeParam>(c, true));
}

TYPED_TEST(ConvBackwardData, OverwritesAndAccumulates) {
  for (const Case& c : small_cases()) {
    for (const bool accumulate : {false, true}) {
      EXPECT_TRUE(check_backward_data<TypeParam>(c, accumulate));
    }
  }
}

TYPED_TEST(ConvBackwardData, ExactOnSmallIntegers) {
  for (const Case& c : network_cases()) {
    EXPECT_TRUE(check_backward_data<TypeParam>(c, true, Values::integers));
  }
}

TYPED_TEST(ConvBackwardData, EmptyBatchDoesNothing) {
  for (const Case& c : empty_cases()) EXPECT_TRUE(check_backward_data<TypeParam>(c, false));
}

TYPED_TEST(ConvBackwardData, BatchInvariant) {
  for (const Case& c : batch_cases()) {
    expect_batch_invariance<TypeParam>(ConvPass::backward_data, c);
  }
}

TYPED_TEST(ConvBackwardData, GroupsEqualSingleCalls) {
  expect_groups_equal_single_calls<TypeParam>(ConvPass::backward_data);
}

TYPED_TEST(ConvBackwardWeight, MatchesTheReferenceOverGeometries) {
  bool bias = false;
  for (const Case& c : geometry_cases()) {
    bias = !bias;
    EXPECT_TRUE(check_backward_weight<TypeParam>(c, bias));
  }
}

TYPED_TEST(ConvBackwardWeight, MatchesTheReferenceOverChannels) {
  for (const Case& c : channel_cases()) EXPECT_TRUE(check_backward_weight<TypeParam>(c, true));
}

TYPED_TEST(ConvBackwardWeight, MatchesTheReferenceOnTheNetworksShapes) {
  for (const Case& c : network_cases()) EXPECT_TRUE(check_backward_weight<TypeParam>(c, false));
  for (const Case& c : large_cases()) EXPECT_TRUE(check_backward_weight<TypeParam>(c, true));
}

TYPED_TEST(ConvBackwardWeight, ExactOnSmallIntegers) {
  for (const Case& c : network_cases()) {
    EXPECT_TRUE(check_backward_weight<TypeParam>(c, true, Values::integers));
  }
}

TYPED_TEST(ConvBackwardWeight, EmptyBatchIsZero) {
  for (const Case& c : empty_cases()) EXPECT_TRUE(check_backward_weight<TypeParam>(c, true));
}

TYPED_TEST(ConvBackwardWeight, GroupsEqualSingleCalls) {
  std::vector<Case> cases = geometry_cases();
  cases.resize(70);
  std::vector<Operands<TypeParam>> all;
  std::vector<Operand<TypeParam>> workspaces;
  std::vector<ConvBackwardWeightArgs> group;
  for (const Case& c : cases) {
    Operands<TypeParam>& o = all.emplace_back(operands<TypeParam>(c, Values::random, 3));
    const std::int64_t bytes =
        conv_backward_weight_workspace_bytes(c.g, c.n, c.h, c.w, kDTypeOf<TypeParam>);
    workspaces.push_back(
        Operand<TypeParam>::vector(bytes / static_cast<std::int64_t>(sizeof(TypeParam))));
    group.push_back({o.x.view(), o.y.view(), o.weight.data(), o.bias.data(), c.g,
                     workspaces.back().data(), bytes});
  }
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
    for (auto& o : all) o.weight.poison(), o.bias.poison();
    conv_backward_weight(context, group);
    for (std::size_t i = 0; i < cases.size(); ++i) {
      outputs.keep("dw", all[i].weight);
      outputs.keep("dbias", all[i].bias);
      if (AssertionResult result = all[i].weight.written(); !result) return result;
      if (AssertionResult result = all[i].bias.written(); !result) return result;
      if (AssertionResult result = workspaces[i].intact(); !result) return result;
      const std::vector<TypeParam> together = all[i].weight.values();
      conv_backward_weight(context, {&group[i], 1});
      if (all[i].weight.values() != together) return AssertionFailure() << cases[i].text();
    }
    return AssertionSuccess();
  }));
}

// loss = sum of dy * conv(x, weight) + bias; it is linear in each, so its central differences are
// its derivatives up to rounding: 1e-16 of the loss over the step of 1e-5, below 1e-9.
class ConvBackwardDataGradient : public OpTest {};
TEST_F(ConvBackwardDataGradient, EqualsCentralDifferences) {
  for (const Case& c : small_cases()) {
    Operands<double> o = operands<double>(c, Values::random, 91);
    const std::vector<double> dy = o.y.doubles(), weight = o.weight.doubles();
    const auto loss = [&](const std::vector<double>& x) {
      const std::vector<double> y = reference_y(c, x, weight, {}, false);
      double sum = 0;
      for (std::size_t i = 0; i < y.size(); ++i) sum += y[i] * dy[i];
      return sum;
    };
    const std::vector<double> expected = central_differences(loss, o.x.doubles());
    EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
      const Operand<double> buffer = packed(context, c, o.weight, ConvPass::backward_data);
      o.x.poison();
      const ConvBackwardDataArgs args{o.y.view(), buffer.data(), o.x.view(), c.g, false};
      conv_backward_data(context, {&args, 1});
      return compare("dx", o.x, expected, {1e-9, 0});
    })) << c.text();
    o.x.random(91);
  }
}

class ConvBackwardWeightGradient : public OpTest {};
TEST_F(ConvBackwardWeightGradient, EqualsCentralDifferences) {
  for (const Case& c : small_cases()) {
    Operands<double> o = operands<double>(c, Values::random, 92);
    const std::vector<double> dy = o.y.doubles(), x = o.x.doubles();
    const auto loss = [&](const std::vector<double>& weight, const std::vector<double>& bias) {
      const std::vector<double> y = reference_y(c, x, weight, bias, false);
      double sum = 0;
      for (std::size_t i = 0; i < y.size(); ++i) sum += y[i] * dy[i];
      return sum;
    };
    const std::vector<double> weight = o.weight.doubles(), bias = o.bias.doubles();
    const std::vector<double> dw =
        central_differences([&](const auto& v) { return loss(v, bias); }, weight);
    const std::vector<double> dbias =
        central_differences([&](const auto& v) { return loss(weight, v); }, bias);
    const std::int64_t bytes = conv_backward_weight_workspace_bytes(c.g, c.n, c.h, c.w, DType::f64);
    Operand<double> workspace = Operand<double>::vector(bytes / 8);
    EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
      const ConvBackwardWeightArgs args{
          o.x.view(), o.y.view(), o.weight.data(), o.bias.data(), c.g, workspace.data(), bytes};
      conv_backward_weight(context, {&args, 1});
      if (AssertionResult r = compare("dw", o.weight, dw, {1e-9, 0}); !r) return r;
      return compare("dbias", o.bias, dbias, {1e-9, 0});
    })) << c.text();
  }
}

}  // namespace
}  // namespace msd::test::conv
