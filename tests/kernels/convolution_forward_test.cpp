// SPDX-License-Identifier: MIT
#include <algorithm>
#include <string>
#include <vector>

#include "kernels/error.h"
#include "tests/kernels/convolution_cases.h"

namespace msd::test::conv {
namespace {

using testing::AssertionFailure;
using testing::AssertionResult;

template <typename T>
using Problem = calls::ConvForward<Guarded<T>>;

template <typename T>
AssertionResult check_forward(const Case& c, bool with_bias, bool relu,
                              const calls::Content& values = {11}) {
  Problem<T> p({c.n, c.h, c.w, c.g, with_bias, relu}, values);
  const Tolerance allowed =
      values.whole ? Tolerance{} : tolerance<T>(c.g.kernel * c.g.kernel * c.g.cin + 1);
  const AssertionResult result = gives(p, p.expected_y(), allowed);
  return named(c, result ? intact(p) : result);
}

template <typename T>
class ConvForward : public OpTest {};
template <typename T>
class ConvPack : public OpTest {};
TYPED_TEST_SUITE(ConvForward, FloatTypes);
TYPED_TEST_SUITE(ConvPack, FloatTypes);

/// Every weight is there (some layouts repeat one), and nothing else but padding.
template <typename T, ConvPass kPass>
AssertionResult packs(const Case& c) {
  calls::ConvPack<Guarded<T>, kPass> p(c);
  const auto distinct = [](std::vector<T> values) {
    values.push_back(0);
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
    return values;
  };
  const AssertionResult result = always(p, [&]() -> AssertionResult {
    if (distinct(p.packed.values()) != distinct(p.weight.values())) {
      return AssertionFailure() << "other values";
    }
    return p.packed.written();
  });
  return named(c, result ? intact(p) : result);
}

TYPED_TEST(ConvPack, WritesTheWholeBuffer) {
  for (const std::int64_t cin : {1, 6, 17, 33}) {
    for (const std::int64_t cout : {1, 6, 12, 24, 100}) {
      for (const std::int64_t kernel : {1, 2, 3}) {
        for (const std::int64_t stride : {1, 2, 4}) {
          const Case c{1, 8, 8, {cin, cout, kernel, stride, kernel - 1}};
          EXPECT_TRUE((packs<TypeParam, ConvPass::forward>(c)));
          EXPECT_TRUE((packs<TypeParam, ConvPass::backward_data>(c)));
        }
      }
    }
  }
}

TYPED_TEST(ConvPack, GroupsPackEveryProblem) {
  std::vector<calls::ConvPack<Guarded<TypeParam>, ConvPass::backward_data>> group;
  for (std::int64_t i = 1; i < 40; ++i) {
    group.emplace_back(Case{1, 4, 4, {i, 41 - i, i % 3 + 1, 1, 0}},
                       calls::Content{static_cast<std::uint64_t>(i)});
  }
  EXPECT_TRUE(group_equals_single_calls(group));
}

TYPED_TEST(ConvForward, MatchesTheReferenceOverGeometries) {
  bool flip = false;
  for (const Case& c : geometry_cases()) {
    flip = !flip;
    EXPECT_TRUE(check_forward<TypeParam>(c, flip, !flip));
  }
}

TYPED_TEST(ConvForward, MatchesTheReferenceOverChannels) {
  for (const Case& c : channel_cases()) EXPECT_TRUE(check_forward<TypeParam>(c, true, false));
}

TYPED_TEST(ConvForward, MatchesTheReferenceOnTheNetworksShapes) {
  for (const Case& c : network_cases()) EXPECT_TRUE(check_forward<TypeParam>(c, true, true));
  for (const Case& c : large_cases()) EXPECT_TRUE(check_forward<TypeParam>(c, false, false));
}

TYPED_TEST(ConvForward, BiasAndReluInEveryCombination) {
  for (const Case& c : small_cases()) {
    for (const bool bias : {false, true}) {
      for (const bool relu : {false, true}) EXPECT_TRUE(check_forward<TypeParam>(c, bias, relu));
    }
  }
}

TYPED_TEST(ConvForward, ExactOnSmallIntegers) {
  for (const Case& c : network_cases()) {
    EXPECT_TRUE(check_forward<TypeParam>(c, true, false, whole(11)));
  }
}

TYPED_TEST(ConvForward, EmptyBatchDoesNothing) {
  for (const Case& c : empty_cases()) EXPECT_TRUE(check_forward<TypeParam>(c, true, true));
}

TYPED_TEST(ConvForward, PropagatesNaN) {
  for (const std::int64_t cout : {6, 24, 48}) {
    const Case c{1, 8, 8, {12, cout, 3, 1, 1}, false};
    Problem<TypeParam> p(c, {5});
    p.x.at(0, 3, 4, 7) = std::numeric_limits<TypeParam>::quiet_NaN();
    EXPECT_TRUE(gives(p, p.expected_y(), tolerance<TypeParam>(109))) << c.text();
  }
}

TYPED_TEST(ConvForward, BatchInvariant) {
  for (const Case& c : batch_cases()) {
    expect_batch_invariance<Problem<TypeParam>, TypeParam>(c);
  }
}

TYPED_TEST(ConvForward, GroupsEqualSingleCalls) {
  expect_groups_equal_single_calls<Problem<TypeParam>>();
}

class ConvForwardErrors : public OpTest {};
TEST_F(ConvForwardErrors, Bf16IsForCuda) {
  if (bf16_has_bodies()) GTEST_SKIP() << "this is CUDA";
  ExecutionContext context = any_context();
  const ConvGeometry g{2, 2, 1, 1, 0};
  std::vector<std::uint16_t> data(64);
  const View view{data.data(), DType::bf16, 1, 2, 2, 2, 2};
  View other = view;
  other.data = data.data() + 32;
  std::vector<float> workspace(4096);
  const auto message_of = [](const auto& call) -> std::string {
    try {
      call();
    } catch (const ShapeError& error) {
      return error.what();
    }
    return "";
  };
  const ConvPackArgs pack{workspace.data(), data.data(), g, ConvPass::forward, DType::bf16};
  const ConvForwardArgs forward{view, data.data(), nullptr, other, g, false};
  const ConvBackwardDataArgs backward{view, data.data(), other, g, false};
  const ConvBackwardWeightArgs gradient{
      view, other, workspace.data(), nullptr, g, workspace.data() + 64, 4 * 4000};
  EXPECT_NE(message_of([&] {
              conv_pack(context, {&pack, 1});
            }).find("conv_pack: bf16"),
            std::string::npos);
  EXPECT_NE(message_of([&] {
              conv_forward(context, {&forward, 1});
            }).find("conv_forward: bf16"),
            std::string::npos);
  EXPECT_NE(message_of([&] {
              conv_backward_data(context, {&backward, 1});
            }).find("conv_backward_data: bf16"),
            std::string::npos);
  EXPECT_NE(message_of([&] {
              conv_backward_weight(context, {&gradient, 1});
            }).find("conv_backward_weight: bf16"),
            std::string::npos);
}

TEST_F(ConvForwardErrors, ARowTooLargeForScratchIsNamed) {
  if (bf16_has_bodies()) GTEST_SKIP() << "CUDA's tiles have one size";
  ExecutionContext context = any_context();
  const Case c{1, 1, 300, {1100, 1, 7, 1, 3}, false};
  Problem<float> p(c);
  p.pack(context);
  try {
    calls::run(context, p);
    FAIL() << "no exception";
  } catch (const ShapeError& error) {
    EXPECT_NE(std::string(error.what()).find("conv_forward"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("scratch"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace msd::test::conv
