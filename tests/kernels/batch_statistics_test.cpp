// SPDX-License-Identifier: MIT
// Statistics that a convolution leaves of its output and the batch norm behind it takes up. On the
// CPU, where none are left, the same calls work from x.
#include <cmath>
#include <vector>

#include "tests/kernels/bfloat16_rows.h"
#include "tests/kernels/calls/batchnorm.h"
#include "tests/kernels/calls/convolution.h"

namespace msd::test {
namespace {

using testing::AssertionFailure;
using testing::AssertionResult;
using testing::AssertionSuccess;

constexpr double kEps = std::numeric_limits<float>::epsilon();
constexpr ConvGeometry kCopyLike = {6, 24, 1, 1, 0};

using Case = calls::ConvShape;
using calls::BatchnormReference;

/// A convolution and the batch norm behind it, which does no more than normalise.
template <typename Memory>
struct Pair {
  explicit Pair(const Case& c, const calls::Gaps& gaps = {{3, 2}, {1, 4}})
      : conv(c, {1}, gaps), norm(c.y(), {2, 1}), room(conv.y.view()) {
    norm.relu = false, norm.gamma.fill(1.0f), norm.beta.fill(0.0f);
  }

  ConvForwardArgs conv_args() {
    statistics = room.empty();
    conv.statistics = &statistics;
    return conv.args();
  }
  BatchNormForwardArgs norm_args() {
    for (auto* out : {&norm.saved_mean, &norm.saved_invstd}) out->poison();
    norm.running_mean.fill(0.0f), norm.running_var.fill(1.0f);
    norm.statistics = &statistics;
    BatchNormForwardArgs args = norm.args();
    args.x = conv.y.view();
    return args;
  }
  /// Convolves, and fails where statistics were not left as this backend does.
  AssertionResult convolve(ExecutionContext& context) {
    conv.pack(context);
    conv.y.poison(), room.room.poison();
    const ConvForwardArgs args = conv_args();
    conv_forward(context, {&args, 1});
    if (!bf16_has_bodies()) {  // the CPU
      return statistics.of.data == nullptr ? AssertionSuccess() : AssertionFailure() << "left any";
    }
    if (statistics.of.data != conv.y.view().data) return AssertionFailure() << "left none";
    return room.room.written();
  }
  /// Convolves and normalises.
  AssertionResult run(ExecutionContext& context, Outputs& outputs) {
    MSD_RETURN_IF_FAILED(convolve(context));
    const BatchNormForwardArgs args = norm_args();
    batchnorm_forward(context, {&args, 1});
    outputs.keep("saved_mean", norm.saved_mean), outputs.keep("saved_invstd", norm.saved_invstd);
    outputs.keep("running_mean", norm.running_mean);
    outputs.keep("running_var", norm.running_var);
    if (bf16_has_bodies()) outputs.keep("statistics", room.room);
    return AssertionSuccess();
  }
  BatchnormReference reference(const std::vector<double>& middle) const {
    return {middle, norm.gamma.doubles(), norm.beta.doubles(), false};
  }
  BatchnormReference reference() const { return reference(conv.y.doubles()); }
  /// Each part's mean is rounded once, the sums about its first row's value (at most 128 terms)
  /// stay below 16*eps; invstd has half of the variance's error.
  AssertionResult matches(const BatchnormReference& r) const {
    const std::size_t channels = r.mean.size();
    const std::vector<double> zeros(channels, 0.0), ones(channels, 1.0);
    const Tolerance allowed{4.0 * kEps, 16.0 * kEps};
    MSD_RETURN_IF_FAILED(compare("saved_mean", norm.saved_mean, r.mean, allowed));
    MSD_RETURN_IF_FAILED(compare("saved_invstd", norm.saved_invstd, r.invstd, allowed));
    MSD_RETURN_IF_FAILED(
        compare("running_mean", norm.running_mean, r.running_mean(zeros), allowed));
    return compare("running_var", norm.running_var, r.running_var(ones), allowed);
  }

  calls::ConvForward<Memory> conv;
  calls::BatchnormForward<Memory> norm;
  calls::StatisticsRoom<Memory> room;
  BatchStatistics statistics;
};

// One row in the last part, one row fewer and more than a part, a last part whose later warps have
// none; every tile, two tiles of channels, channels fewer than a tile's; parts for two blocks.
const Case kCases[] = {
    {1, 1, 2, {6, 6, 1, 1, 0}},   {1, 3, 43, {6, 6, 3, 1, 1}},   {1, 127, 1, {6, 8, 1, 1, 0}},
    {2, 8, 8, {5, 12, 3, 1, 1}},  {1, 13, 13, {6, 16, 3, 2, 1}}, {3, 9, 11, {6, 24, 3, 1, 1}},
    {1, 5, 13, {6, 40, 1, 1, 0}}, {2, 9, 7, {5, 70, 3, 1, 1}},   {1, 33, 65, {2, 40, 1, 1, 0}}};

class ConvForwardStatistics : public OpTest {};

TEST_F(ConvForwardStatistics, AreThoseOfTheOutput) {
  for (const Case& c : kCases) {
    for (const bool relu : {false, true}) {
      Pair<Guarded<float>> p({c.n, c.h, c.w, c.g, true, relu});
      EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
        MSD_RETURN_IF_FAILED(p.run(context, outputs));
        const BatchnormReference r = p.reference();
        MSD_RETURN_IF_FAILED(p.matches(r));
        // |x - mean| is below 10; a channel that ReLU leaves constant has an invstd of 316.
        return compare("y", p.norm.y, r.y, {10.0 * 320.0 * kEps, 32.0 * kEps});
      })) << c.text()
          << (relu ? "relu" : "");
    }
  }
}

TEST_F(ConvForwardStatistics, KeepTheVarianceOfDataFarFromZero) {
  // Mean 1000, std about 1; y itself is rounded to 3e-5. 34 parts, the last of 64 rows.
  Pair<Guarded<float>> p({2, 40, 54, {6, 24, 1, 1, 0}});
  p.conv.bias.fill(1000.0f);
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
    MSD_RETURN_IF_FAILED(p.run(context, outputs));
    const BatchnormReference r = p.reference();
    MSD_RETURN_IF_FAILED(compare("saved_mean", p.norm.saved_mean, r.mean, {0.0, kEps}));
    return compare("saved_invstd", p.norm.saved_invstd, r.invstd, {0.0, 16.0 * kEps});
  }));
}

TEST_F(ConvForwardStatistics, OfAConstantChannelHaveNoVariance) {
  Pair<Guarded<float>> p({1, 12, 25, kCopyLike});
  p.conv.weight.fill(0.0f), p.conv.bias.fill(0.1f);
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
    MSD_RETURN_IF_FAILED(p.run(context, outputs));
    const std::vector<double> zeros(static_cast<std::size_t>(p.norm.y.elems()), 0.0);
    return compare("y", p.norm.y, zeros, {});
  }));
}

TEST_F(ConvForwardStatistics, KeepNaNInItsChannel) {
  Pair<Guarded<float>> p({1, 12, 25, kCopyLike});
  p.conv.bias.at(0, 5) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
    MSD_RETURN_IF_FAILED(p.run(context, outputs));
    for (std::int64_t i = 0; i < kCopyLike.cout; ++i) {
      if (std::isnan(p.norm.saved_mean.at(0, i)) != (i == 5)) return AssertionFailure() << i;
    }
    return AssertionSuccess();
  }));
}

// Nearly all of the variance comes from rounding: 100 + [-0.6, 0.6] in steps of 0.5.
TEST_F(ConvForwardStatistics, AreOfTheRoundedOutput) {
  if (!bf16_has_bodies()) GTEST_SKIP() << "bf16 is for CUDA";
  for (const std::int64_t cout : {6, 40}) {
    Pair<Bf16> p({2, 9, 13, {8, cout, 1, 1, 0}}, {{0, 0}, {3, 2}});
    p.conv.x.random(4, -2.0, 2.0), p.conv.weight.random(2, -0.1, 0.1);
    p.conv.bias.fill(100.0f);
    EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
      MSD_RETURN_IF_FAILED(p.run(context, outputs));
      return p.matches(p.reference(p.conv.y.wide().doubles()));
    })) << cout;
  }
}

// What a batch norm on CUDA does not read it cannot pay for.
TEST_F(ConvForwardStatistics, SpareBatchNormAPass) {
  if (!bf16_has_bodies()) GTEST_SKIP() << "no statistics are left on the CPU";
  Pair<Guarded<float>> p({1, 12, 25, kCopyLike});
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
    MSD_RETURN_IF_FAILED(p.convolve(context));
    const BatchnormReference r = p.reference();
    p.conv.y.fill(7.0f);
    const BatchNormForwardArgs args = p.norm_args();
    batchnorm_forward(context, {&args, 1});
    return p.matches(r);
  }));
}

TEST_F(ConvForwardStatistics, GroupsEqualSingleCalls) {
  // More problems than a launch takes, of all tiles; every third without statistics.
  std::vector<Pair<Guarded<float>>> pairs;
  for (std::size_t i = 0; i < 20; ++i) pairs.emplace_back(kCases[i % std::size(kCases)]);
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
    std::vector<ConvForwardArgs> convolutions;
    std::vector<BatchNormForwardArgs> norms;
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      pairs[i].conv.pack(context);
      convolutions.push_back(pairs[i].conv_args());
      norms.push_back(pairs[i].norm_args());
      if (i % 3 == 2) convolutions[i].statistics = nullptr, norms[i].statistics = nullptr;
    }
    conv_forward(context, convolutions);
    batchnorm_forward(context, norms);
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      calls::BatchnormForward<Guarded<float>>& norm = pairs[i].norm;
      Outputs together, alone;
      const auto keep = [&](Outputs& to) {
        to.keep("mean", norm.saved_mean), to.keep("invstd", norm.saved_invstd);
        to.keep("y", norm.y);
      };
      keep(together), keep(outputs);
      norm.y.poison();
      conv_forward(context, {&convolutions[i], 1});
      batchnorm_forward(context, {&norms[i], 1});
      keep(alone);
      MSD_RETURN_IF_FAILED(alone.identical(together));
    }
    return AssertionSuccess();
  }));
}

TEST_F(ConvForwardStatistics, MustFitAndBeOfTheInput) {
  Pair<Guarded<float>> p({1, 12, 25, kCopyLike});
  ExecutionContext context = any_context();
  p.conv.pack(context);
  const auto convolution = [&](auto change) {
    const ConvForwardArgs args = p.conv_args();
    change(p.statistics);
    return rejects(conv_forward, "conv_forward", args, [](auto&) {});
  };
  EXPECT_TRUE(convolution([](BatchStatistics& s) { s.bytes -= 1; }));
  EXPECT_TRUE(convolution([](BatchStatistics& s) { s.data = nullptr; }));
  const auto norm = [&](auto change) {
    p.statistics = p.room.of(p.conv.y.view());
    change(p.statistics);
    return rejects(batchnorm_forward, "batchnorm_forward", p.norm_args(), [](auto&) {});
  };
  EXPECT_TRUE(norm([](BatchStatistics& s) { s.bytes -= 1; }));
  EXPECT_TRUE(norm([](BatchStatistics& s) { s.data = nullptr; }));
  EXPECT_TRUE(norm([&](BatchStatistics& s) { s.of.data = p.norm.y.data(); }));
  EXPECT_TRUE(norm([](BatchStatistics& s) { s.of.c -= 1; }));
  EXPECT_TRUE(norm([](BatchStatistics& s) { s.of.n += 1; }));
}

}  // namespace
}  // namespace msd::test
