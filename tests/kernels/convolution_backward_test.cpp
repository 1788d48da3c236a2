// SPDX-License-Identifier: MIT
#include <numeric>
#include <vector>

#include "tests/kernels/convolution_cases.h"

namespace msd::test::conv {
namespace {

using testing::AssertionResult;

template <typename T>
using DataProblem = calls::ConvBackwardData<Guarded<T>>;
template <typename T>
using WeightProblem = calls::ConvBackwardWeight<Guarded<T>>;

template <typename T>
AssertionResult check_backward_data(const Case& c, bool accumulate,
                                    const calls::Content& values = {21}) {
  DataProblem<T> p({.n = c.n, .h = c.h, .w = c.w, .g = c.g, .accumulate = accumulate}, values);
  std::vector<double> reference = convolution_dx(c, p.y.doubles(), p.weight.doubles());
  const std::vector<double> before = p.x.doubles();
  for (std::size_t i = 0; i < reference.size() && accumulate; ++i) reference[i] += before[i];
  const Tolerance allowed =
      values.whole ? Tolerance{} : tolerance<T>(c.g.kernel * c.g.kernel * c.g.cout + 1);
  const AssertionResult result = gives(p, reference, allowed);
  return named(c, result ? intact(p) : result);
}

template <typename T>
AssertionResult check_backward_weight(const Case& c, bool with_bias,
                                      const calls::Content& values = {31}) {
  WeightProblem<T> p({c.n, c.h, c.w, c.g, with_bias}, values);
  const std::vector<double> dw = convolution_dw(c, p.x.doubles(), p.y.doubles());
  const std::vector<double> dbias = convolution_dbias(c, p.y.doubles());
  const Tolerance allowed = values.whole ? Tolerance{} : tolerance<T>(p.y.rows());
  const AssertionResult result = always(p, [&] {
    MSD_RETURN_IF_FAILED(compare("dw", p.weight, dw, allowed));
    if (with_bias) MSD_RETURN_IF_FAILED(compare("dbias", p.bias, dbias, allowed));
    return p.workspace.intact();
  });
  return named(c, result ? intact(p) : result);
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
    EXPECT_TRUE(check_backward_data<TypeParam>(c, true, whole(21)));
  }
}

TYPED_TEST(ConvBackwardData, EmptyBatchDoesNothing) {
  for (const Case& c : empty_cases()) EXPECT_TRUE(check_backward_data<TypeParam>(c, false));
}

TYPED_TEST(ConvBackwardData, BatchInvariant) {
  for (const Case& c : batch_cases()) {
    expect_batch_invariance<DataProblem<TypeParam>, TypeParam>(c);
  }
}

TYPED_TEST(ConvBackwardData, GroupsEqualSingleCalls) {
  expect_groups_equal_single_calls<DataProblem<TypeParam>>();
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
    EXPECT_TRUE(check_backward_weight<TypeParam>(c, true, whole(31)));
  }
}

TYPED_TEST(ConvBackwardWeight, EmptyBatchIsZero) {
  for (const Case& c : empty_cases()) EXPECT_TRUE(check_backward_weight<TypeParam>(c, true));
}

TYPED_TEST(ConvBackwardWeight, GroupsEqualSingleCalls) {
  expect_groups_equal_single_calls<WeightProblem<TypeParam>>();
}

// loss = sum of dy * conv(x, weight) + bias; it is linear in each, so its central differences are
// its derivatives up to rounding: 1e-16 of the loss over the step of 1e-5, below 1e-9.
double loss(const Case& c, const std::vector<double>& x, const std::vector<double>& weight,
            const std::vector<double>& bias, const std::vector<double>& dy) {
  const std::vector<double> y = convolution_y(c, x, weight, bias);
  return std::inner_product(y.begin(), y.end(), dy.begin(), 0.0);
}

class ConvBackwardDataGradient : public OpTest {};
TEST_F(ConvBackwardDataGradient, EqualsCentralDifferences) {
  for (const Case& c : small_cases()) {
    DataProblem<double> p(c, {91});
    const std::vector<double> dy = p.y.doubles(), weight = p.weight.doubles();
    const std::vector<double> zeros(static_cast<std::size_t>(c.g.cout));
    const std::vector<double> expected = central_differences(
        [&](const auto& x) { return loss(c, x, weight, zeros, dy); }, p.x.doubles());
    EXPECT_TRUE(gives(p, expected, {1e-9, 0})) << c.text();
  }
}

class ConvBackwardWeightGradient : public OpTest {};
TEST_F(ConvBackwardWeightGradient, EqualsCentralDifferences) {
  for (const Case& c : small_cases()) {
    WeightProblem<double> p(c, {92});
    const std::vector<double> dy = p.y.doubles(), x = p.x.doubles();
    const std::vector<double> weight = p.weight.doubles(), bias = p.bias.doubles();
    const std::vector<double> dw =
        central_differences([&](const auto& v) { return loss(c, x, v, bias, dy); }, weight);
    const std::vector<double> dbias =
        central_differences([&](const auto& v) { return loss(c, x, weight, v, dy); }, bias);
    EXPECT_TRUE(always(p, [&] {
      MSD_RETURN_IF_FAILED(compare("dw", p.weight, dw, {1e-9, 0}));
      return compare("dbias", p.bias, dbias, {1e-9, 0});
    })) << c.text();
  }
}

}  // namespace
}  // namespace msd::test::conv
