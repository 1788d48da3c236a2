// SPDX-License-Identifier: MIT
// Statistics that a convolution leaves of its output and the batch norm behind it takes up. On the
// CPU, where none are left, the same calls work from x.
#include <cmath>
#include <memory>
#include <vector>

#include "tests/kernels/bfloat16_rows.h"

namespace msd::test {
namespace {

using testing::AssertionFailure;
using testing::AssertionResult;
using testing::AssertionSuccess;

constexpr double kEps = std::numeric_limits<float>::epsilon();
constexpr double kEpsilon = 1e-5;
constexpr ConvGeometry kCopyLike = {6, 24, 1, 1, 0};

/// Of rows of c channels, in double.
struct Reference {
  Reference(const std::vector<double>& values, std::int64_t channels) {
    const auto c = static_cast<std::size_t>(channels);
    const std::size_t count = values.size() / c;
    const auto rows = static_cast<double>(count);
    mean.assign(c, 0.0), invstd.assign(c, 0.0), running_var.assign(c, 0.0);
    for (std::size_t i = 0; i < values.size(); ++i) mean[i % c] += values[i] / rows;
    std::vector<double> squares(c, 0.0);
    for (std::size_t i = 0; i < values.size(); ++i) {
      squares[i % c] += (values[i] - mean[i % c]) * (values[i] - mean[i % c]);
    }
    for (std::size_t i = 0; i < c; ++i) {
      invstd[i] = 1.0 / std::sqrt(squares[i] / rows + kEpsilon);
      running_var[i] = 0.9 + 0.1 * squares[i] / (rows - 1.0);
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
      y.push_back((values[i] - mean[i % c]) * invstd[i % c]);
    }
  }
  std::vector<double> mean, invstd, running_var, y;
};

struct Case {
  std::int64_t n, h, w;
  ConvGeometry g;
  std::string text() const {
    return message(n, 'x', h, 'x', w, ", ", g.cin, " to ", g.cout, ", stride ", g.stride);
  }
};

/// A convolution and the batch norm behind it. `C`: the convolution's output, of floats or bf16.
template <typename C>
struct Pair {
  Pair(const Case& c, C output)
      : geometry(c.g),
        x(c.n, c.h, c.w, c.g.cin, {3, 2}),
        weight(Operand<float>::vector(c.g.weight_elems())),
        bias(Operand<float>::vector(c.g.cout)),
        middle(std::move(output)),
        y(middle.view().n, middle.view().h, middle.view().w, c.g.cout, {1, 2}),
        gamma(Operand<float>::vector(c.g.cout)),
        beta(Operand<float>::vector(c.g.cout)),
        running_mean(beta.vector(c.g.cout)),
        running_var(beta.vector(c.g.cout)),
        saved_mean(beta.vector(c.g.cout)),
        saved_invstd(beta.vector(c.g.cout)),
        memory(beta.vector(batch_statistics_bytes(middle.view()) / 4)) {
    x.random(1), weight.random(2), bias.random(3), gamma.fill(1.0f), beta.fill(0.0f);
  }

  ConvForwardArgs convolution(const View& from, void* packed, bool relu = false) {
    statistics = {memory.data(), memory.elems() * 4, {}};
    return {from, packed, bias.data(), middle.view(), geometry, relu, &statistics};
  }
  BatchNormForwardArgs norm(const View& to) {
    for (Operand<float>* out : {&saved_mean, &saved_invstd}) out->poison();
    running_mean.fill(0.0f), running_var.fill(1.0f);
    return {.x = middle.view(),
            .y = to,
            .gamma = gamma.data(),
            .beta = beta.data(),
            .running_mean = running_mean.data(),
            .running_var = running_var.data(),
            .saved_mean = saved_mean.data(),
            .saved_invstd = saved_invstd.data(),
            .epsilon = kEpsilon,
            .relu = false,
            .statistics = &statistics};
  }
  Operand<float> packed(ExecutionContext& context) {
    Operand<float> to = Operand<float>::vector(conv_packed_elems(geometry, ConvPass::forward));
    const ConvPackArgs args{weight.data(), to.data(), geometry, ConvPass::forward, DType::f32};
    conv_pack(context, {&args, 1});
    return to;
  }
  /// Convolves, and fails where statistics were not left as this backend does.
  AssertionResult convolve(ExecutionContext& context, bool relu = false) {
    Operand<float> weights = packed(context);
    memory.poison();
    const ConvForwardArgs args = convolution(x.view(), weights.data(), relu);
    conv_forward(context, {&args, 1});
    return left();
  }
  AssertionResult left() {
    if (!bf16_has_bodies()) {  // the CPU
      return statistics.of.data == nullptr ? AssertionSuccess() : AssertionFailure() << "left any";
    }
    if (statistics.of.data != middle.view().data) return AssertionFailure() << "left none";
    return memory.written();
  }
  void keep(Outputs& outputs) const {
    outputs.keep("saved_mean", saved_mean), outputs.keep("saved_invstd", saved_invstd);
    outputs.keep("running_mean", running_mean), outputs.keep("running_var", running_var);
    if (bf16_has_bodies()) outputs.keep("statistics", memory);
  }
  /// Each part's mean is rounded once, the sums about its first row's value (at most 128 terms)
  /// stay below 16*eps; invstd has half of the variance's error.
  AssertionResult matches(const Reference& r) const {
    std::vector<double> running_mean_reference;
    for (const double mean : r.mean) running_mean_reference.push_back(0.1 * mean);
    const Tolerance allowed{4.0 * kEps, 16.0 * kEps};
    MSD_RETURN_IF_FAILED(compare("saved_mean", saved_mean, r.mean, allowed));
    MSD_RETURN_IF_FAILED(compare("saved_invstd", saved_invstd, r.invstd, allowed));
    MSD_RETURN_IF_FAILED(compare("running_mean", running_mean, running_mean_reference, allowed));
    return compare("running_var", running_var, r.running_var, allowed);
  }

  ConvGeometry geometry;
  Operand<float> x, weight, bias;
  C middle;
  Operand<float> y, gamma, beta, running_mean, running_var, saved_mean, saved_invstd, memory;
  BatchStatistics statistics;
};

Operand<float> middle_of(const Case& c) {
  return {c.n, c.g.out_size(c.h), c.g.out_size(c.w), c.g.cout, {1, 4}};
}

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
      Pair<Operand<float>> p(c, middle_of(c));
      EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
        p.middle.poison(), p.y.poison();
        MSD_RETURN_IF_FAILED(p.convolve(context, relu));
        const BatchNormForwardArgs args = p.norm(p.y.view());
        batchnorm_forward(context, {&args, 1});
        p.keep(outputs);
        const Reference r(p.middle.doubles(), c.g.cout);
        MSD_RETURN_IF_FAILED(p.matches(r));
        // |x - mean| is below 10; a channel that ReLU leaves constant has an invstd of 316.
        return compare("y", p.y, r.y, {10.0 * 320.0 * kEps, 32.0 * kEps});
      })) << c.text()
          << (relu ? ", relu" : "");
    }
  }
}

TEST_F(ConvForwardStatistics, KeepTheVarianceOfDataFarFromZero) {
  // Mean 1000, std about 1; y itself is rounded to 3e-5. 34 parts, the last of 64 rows.
  const Case c{2, 40, 54, {6, 24, 1, 1, 0}};
  Pair<Operand<float>> p(c, middle_of(c));
  p.bias.fill(1000.0f);
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
    MSD_RETURN_IF_FAILED(p.convolve(context));
    const BatchNormForwardArgs args = p.norm(p.y.view());
    batchnorm_forward(context, {&args, 1});
    p.keep(outputs);
    const Reference r(p.middle.doubles(), c.g.cout);
    MSD_RETURN_IF_FAILED(compare("saved_mean", p.saved_mean, r.mean, {0.0, kEps}));
    return compare("saved_invstd", p.saved_invstd, r.invstd, {0.0, 16.0 * kEps});
  }));
}

TEST_F(ConvForwardStatistics, OfAConstantChannelHaveNoVariance) {
  const Case c{1, 12, 25, kCopyLike};
  Pair<Operand<float>> p(c, middle_of(c));
  p.weight.fill(0.0f), p.bias.fill(0.1f);
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
    MSD_RETURN_IF_FAILED(p.convolve(context));
    const BatchNormForwardArgs args = p.norm(p.y.view());
    batchnorm_forward(context, {&args, 1});
    const std::vector<double> zeros(static_cast<std::size_t>(p.y.elems()), 0.0);
    return compare("y", p.y, zeros, {});
  }));
}

TEST_F(ConvForwardStatistics, KeepNaNInItsChannel) {
  const Case c{1, 12, 25, kCopyLike};
  Pair<Operand<float>> p(c, middle_of(c));
  p.bias.at(0, 5) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
    MSD_RETURN_IF_FAILED(p.convolve(context));
    const BatchNormForwardArgs args = p.norm(p.y.view());
    batchnorm_forward(context, {&args, 1});
    for (std::int64_t i = 0; i < c.g.cout; ++i) {
      if (std::isnan(p.saved_mean.at(0, i)) != (i == 5)) return AssertionFailure() << i;
    }
    return AssertionSuccess();
  }));
}

// Nearly all of the variance comes from rounding: 100 + [-0.6, 0.6] in steps of 0.5.
TEST_F(ConvForwardStatistics, AreOfTheRoundedOutput) {
  if (!bf16_has_bodies()) GTEST_SKIP() << "bf16 is for CUDA";
  for (const std::int64_t cout : {6, 40}) {
    const Case c{2, 9, 13, {8, cout, 1, 1, 0}};
    Pair<Bf16Rows> p(c, Bf16Rows(c.n, c.h, c.w, cout, {3, 2}));
    Bf16Rows x(c.n, c.h, c.w, c.g.cin, {0, 0});
    x.random(4);
    p.weight.random(2, -0.1, 0.1), p.bias.fill(100.0f);
    std::vector<std::uint16_t, OperandAllocator<std::uint16_t>> packed(
        static_cast<std::size_t>(conv_packed_elems(c.g, ConvPass::forward)));
    Bf16Rows y(c.n, c.h, c.w, cout, {1, 2});
    EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
      const ConvPackArgs pack{p.weight.data(), packed.data(), c.g, ConvPass::forward, DType::bf16};
      conv_pack(context, {&pack, 1});
      const ConvForwardArgs convolution = p.convolution(x.view(), packed.data());
      conv_forward(context, {&convolution, 1});
      MSD_RETURN_IF_FAILED(p.left());
      const BatchNormForwardArgs args = p.norm(y.view());
      batchnorm_forward(context, {&args, 1});
      p.keep(outputs);
      return p.matches(Reference(p.middle.wide().doubles(), cout));
    })) << cout;
  }
}

// What a batch norm on CUDA does not read it cannot pay for.
TEST_F(ConvForwardStatistics, SpareBatchNormAPass) {
  if (!bf16_has_bodies()) GTEST_SKIP() << "no statistics are left on the CPU";
  const Case c{1, 12, 25, kCopyLike};
  Pair<Operand<float>> p(c, middle_of(c));
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
    MSD_RETURN_IF_FAILED(p.convolve(context));
    const Reference r(p.middle.doubles(), c.g.cout);
    p.middle.fill(7.0f);
    const BatchNormForwardArgs args = p.norm(p.y.view());
    batchnorm_forward(context, {&args, 1});
    return p.matches(r);
  }));
}

TEST_F(ConvForwardStatistics, GroupsEqualSingleCalls) {
  // More problems than a launch takes, of all tiles; every third without statistics.
  std::vector<std::unique_ptr<Pair<Operand<float>>>> pairs;
  for (std::size_t i = 0; i < 20; ++i) {
    const Case& c = kCases[i % std::size(kCases)];
    pairs.push_back(std::make_unique<Pair<Operand<float>>>(c, middle_of(c)));
  }
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
    std::vector<Operand<float>> weights;
    std::vector<ConvForwardArgs> convolutions;
    std::vector<BatchNormForwardArgs> norms;
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      weights.push_back(pairs[i]->packed(context));
      convolutions.push_back(pairs[i]->convolution(pairs[i]->x.view(), weights[i].data()));
      norms.push_back(pairs[i]->norm(pairs[i]->y.view()));
      if (i % 3 == 2) convolutions[i].statistics = nullptr, norms[i].statistics = nullptr;
    }
    conv_forward(context, convolutions);
    batchnorm_forward(context, norms);
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      Outputs together, alone;
      const auto keep = [&](Outputs& to) {
        to.keep("mean", pairs[i]->saved_mean), to.keep("invstd", pairs[i]->saved_invstd);
        to.keep("y", pairs[i]->y);
      };
      keep(together), keep(outputs);
      pairs[i]->y.poison();
      conv_forward(context, {&convolutions[i], 1});
      batchnorm_forward(context, {&norms[i], 1});
      keep(alone);
      MSD_RETURN_IF_FAILED(alone.identical(together));
    }
    return AssertionSuccess();
  }));
}

TEST_F(ConvForwardStatistics, MustFitAndBeOfTheInput) {
  const Case c{1, 12, 25, kCopyLike};
  Pair<Operand<float>> p(c, middle_of(c));
  ExecutionContext context = any_context();
  const Operand<float> weights = p.packed(context);
  const auto convolution = [&](auto change) {
    ConvForwardArgs args = p.convolution(p.x.view(), const_cast<float*>(weights.data()));
    change(p.statistics);
    return rejects(conv_forward, "conv_forward", args, [](auto&) {});
  };
  EXPECT_TRUE(convolution([](BatchStatistics& s) { s.bytes -= 1; }));
  EXPECT_TRUE(convolution([](BatchStatistics& s) { s.data = nullptr; }));
  const auto norm = [&](auto change) {
    p.convolution(p.x.view(), nullptr);
    p.statistics.of = p.middle.view();
    change(p.statistics);
    return rejects(batchnorm_forward, "batchnorm_forward", p.norm(p.y.view()), [](auto&) {});
  };
  EXPECT_TRUE(norm([](BatchStatistics& s) { s.bytes -= 1; }));
  EXPECT_TRUE(norm([](BatchStatistics& s) { s.data = nullptr; }));
  EXPECT_TRUE(norm([&](BatchStatistics& s) { s.of.data = p.y.data(); }));
  EXPECT_TRUE(norm([](BatchStatistics& s) { s.of.c -= 1; }));
  EXPECT_TRUE(norm([](BatchStatistics& s) { s.of.n += 1; }));
}

}  // namespace
}  // namespace msd::test
