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
using testing::AssertionSuccess;

template <typename T>
AssertionResult check_forward(const Case& c, bool with_bias, bool relu,
                              Values values = Values::random) {
  Operands<T> o = operands<T>(c, values, 11);
  const std::vector<double> reference =
      reference_y(c, o.x.doubles(), o.weight.doubles(),
                  with_bias ? o.bias.doubles() : std::vector<double>(), relu);
  const Tolerance allowed = values == Values::integers
                                ? Tolerance{}
                                : tolerance<T>(c.g.kernel * c.g.kernel * c.g.cin + 1);
  const AssertionResult result = on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
    const Operand<T> weight = packed(context, c, o.weight, ConvPass::forward);
    o.y.poison();
    const ConvForwardArgs args{o.x.view(), weight.data(), with_bias ? o.bias.data() : nullptr,
                               o.y.view(), c.g,           relu};
    conv_forward(context, {&args, 1});
    outputs.keep("y", o.y);
    return compare("y", o.y, reference, allowed);
  });
  return named(c, result ? o.intact() : result);
}

template <typename T>
class ConvForward : public OpTest {};
template <typename T>
class ConvPack : public OpTest {};
TYPED_TEST_SUITE(ConvForward, FloatTypes);
TYPED_TEST_SUITE(ConvPack, FloatTypes);

TYPED_TEST(ConvPack, WritesTheWholeBuffer) {
  for (const std::int64_t cin : {1, 6, 17, 33}) {
    for (const std::int64_t cout : {1, 6, 12, 24, 100}) {
      for (const std::int64_t kernel : {1, 2, 3}) {
        for (const std::int64_t stride : {1, 2, 4}) {
          const Case c{1, 8, 8, {cin, cout, kernel, stride, kernel - 1}};
          Operand<TypeParam> weight = weights_of<TypeParam>(c);
          weight.random(1);
          for (const ConvPass pass : {ConvPass::forward, ConvPass::backward_data}) {
            EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
              const Operand<TypeParam> buffer = packed(context, c, weight, pass);
              outputs.keep("packed", buffer);
              // Every weight is there (some layouts repeat one), and nothing else but padding.
              std::vector<TypeParam> there = buffer.values(), wanted = weight.values();
              wanted.push_back(0);
              std::sort(wanted.begin(), wanted.end());
              wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
              there.push_back(0);
              std::sort(there.begin(), there.end());
              there.erase(std::unique(there.begin(), there.end()), there.end());
              if (there != wanted) return AssertionFailure() << c.text() << "other values";
              return buffer.written();
            }));
          }
          EXPECT_TRUE(weight.intact());
        }
      }
    }
  }
}

TYPED_TEST(ConvPack, GroupsPackEveryProblem) {
  std::vector<Case> cases;
  for (std::int64_t i = 1; i < 40; ++i) cases.push_back({1, 4, 4, {i, 41 - i, i % 3 + 1, 1, 0}});
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
    std::vector<Operand<TypeParam>> weights, buffers;
    std::vector<ConvPackArgs> group;
    for (const Case& c : cases) {
      weights.push_back(weights_of<TypeParam>(c));
      weights.back().random(static_cast<std::uint64_t>(c.g.cin));
      buffers.push_back(
          Operand<TypeParam>::vector(conv_packed_elems(c.g, ConvPass::backward_data)));
      group.push_back({weights.back().data(), buffers.back().data(), c.g, ConvPass::backward_data,
                       kDTypeOf<TypeParam>});
    }
    conv_pack(context, group);
    for (std::size_t i = 0; i < cases.size(); ++i) {
      outputs.keep("packed", buffers[i]);
      if (AssertionResult result = buffers[i].written(); !result) return result;
      const Operand<TypeParam> alone =
          packed(context, cases[i], weights[i], ConvPass::backward_data);
      if (alone.values() != buffers[i].values()) return AssertionFailure() << cases[i].text();
    }
    return AssertionSuccess();
  }));
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
    EXPECT_TRUE(check_forward<TypeParam>(c, true, false, Values::integers));
  }
}

TYPED_TEST(ConvForward, EmptyBatchDoesNothing) {
  for (const Case& c : empty_cases()) EXPECT_TRUE(check_forward<TypeParam>(c, true, true));
}

TYPED_TEST(ConvForward, PropagatesNaN) {
  for (const std::int64_t cout : {6, 24, 48}) {
    const Case c{1, 8, 8, {12, cout, 3, 1, 1}};
    Operands<TypeParam> o = operands<TypeParam>(c, Values::random, 5);
    o.x.at(0, 3, 4, 7) = std::numeric_limits<TypeParam>::quiet_NaN();
    const std::vector<double> reference =
        reference_y(c, o.x.doubles(), o.weight.doubles(), {}, false);
    EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
      const Operand<TypeParam> weight = packed(context, c, o.weight, ConvPass::forward);
      o.y.poison();
      const ConvForwardArgs args{o.x.view(), weight.data(), nullptr, o.y.view(), c.g, false};
      conv_forward(context, {&args, 1});
      return compare("y", o.y, reference, tolerance<TypeParam>(109));
    })) << c.text();
  }
}

TYPED_TEST(ConvForward, BatchInvariant) {
  for (const Case& c : batch_cases()) expect_batch_invariance<TypeParam>(ConvPass::forward, c);
}

TYPED_TEST(ConvForward, GroupsEqualSingleCalls) {
  expect_groups_equal_single_calls<TypeParam>(ConvPass::forward);
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
  const Case c{1, 1, 300, {1100, 1, 7, 1, 3}};
  Operands<float> o(c);
  o.random(1);
  const Operand<float> weight = packed(context, c, o.weight, ConvPass::forward);
  const ConvForwardArgs args{o.x.view(), weight.data(), nullptr, o.y.view(), c.g, false};
  try {
    conv_forward(context, {&args, 1});
    FAIL() << "no exception";
  } catch (const ShapeError& error) {
    EXPECT_NE(std::string(error.what()).find("conv_forward"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("scratch"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace msd::test::conv
