// SPDX-License-Identifier: MIT
// Every operand lies in wider rows at an odd channel, with NaN in the gaps and fences around, and
// every case runs on each instruction set with 1, 2 and 3 threads, bits compared.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "kernels/cpu/op_table.h"
#include "kernels/error.h"
#include "tests/kernels/op_harness.h"

namespace msd::test {
namespace {

using testing::AssertionFailure;
using testing::AssertionResult;
using testing::AssertionSuccess;

struct Case {
  std::int64_t n, h, w;
  ConvGeometry g;

  std::int64_t out_h() const { return g.out_size(h); }
  std::int64_t out_w() const { return g.out_size(w); }
  std::string text() const {
    return message("x ", n, "x", h, "x", w, ", ", g.cin, " to ", g.cout, ", kernel ", g.kernel,
                   ", stride ", g.stride, ", padding ", g.padding, ": ");
  }
};

// Calls visit(y index, x index, weight index) for every product of the convolution.
template <typename Visit>
void for_each_product(const Case& c, const Visit& visit) {
  const ConvGeometry& g = c.g;
  std::int64_t y = 0;
  for (std::int64_t n = 0; n < c.n; ++n) {
    for (std::int64_t oy = 0; oy < c.out_h(); ++oy) {
      for (std::int64_t ox = 0; ox < c.out_w(); ++ox) {
        for (std::int64_t co = 0; co < g.cout; ++co, ++y) {
          for (std::int64_t kh = 0; kh < g.kernel; ++kh) {
            const std::int64_t iy = oy * g.stride + kh - g.padding;
            if (iy < 0 || iy >= c.h) continue;
            for (std::int64_t kw = 0; kw < g.kernel; ++kw) {
              const std::int64_t ix = ox * g.stride + kw - g.padding;
              if (ix < 0 || ix >= c.w) continue;
              const std::int64_t x = ((n * c.h + iy) * c.w + ix) * g.cin;
              const std::int64_t w = ((co * g.kernel + kh) * g.kernel + kw) * g.cin;
              for (std::int64_t ci = 0; ci < g.cin; ++ci) {
                visit(static_cast<std::size_t>(y), static_cast<std::size_t>(x + ci),
                      static_cast<std::size_t>(w + ci));
              }
            }
          }
        }
      }
    }
  }
}

std::size_t y_elems(const Case& c) {
  return static_cast<std::size_t>(c.n * c.out_h() * c.out_w() * c.g.cout);
}

std::vector<double> reference_y(const Case& c, const std::vector<double>& x,
                                const std::vector<double>& weight, const std::vector<double>& bias,
                                bool relu) {
  std::vector<double> y(y_elems(c));
  for (std::size_t i = 0; i < y.size() && !bias.empty(); ++i) y[i] = bias[i % bias.size()];
  for_each_product(
      c, [&](std::size_t yi, std::size_t xi, std::size_t wi) { y[yi] += x[xi] * weight[wi]; });
  for (double& value : y) value = relu ? std::max(value, 0.0) : value;
  return y;
}

std::vector<double> reference_dx(const Case& c, const std::vector<double>& dy,
                                 const std::vector<double>& weight) {
  std::vector<double> dx(static_cast<std::size_t>(c.n * c.h * c.w * c.g.cin));
  for_each_product(
      c, [&](std::size_t yi, std::size_t xi, std::size_t wi) { dx[xi] += dy[yi] * weight[wi]; });
  return dx;
}

std::vector<double> reference_dw(const Case& c, const std::vector<double>& x,
                                 const std::vector<double>& dy) {
  std::vector<double> dw(static_cast<std::size_t>(c.g.weight_elems()));
  for_each_product(
      c, [&](std::size_t yi, std::size_t xi, std::size_t wi) { dw[wi] += dy[yi] * x[xi]; });
  return dw;
}

std::vector<double> reference_dbias(const Case& c, const std::vector<double>& dy) {
  std::vector<double> dbias(static_cast<std::size_t>(c.g.cout));
  for (std::size_t i = 0; i < dy.size(); ++i) dbias[i % dbias.size()] += dy[i];
  return dbias;
}

// Values are in [-1, 1], so a running sum of k products grows like sqrt(k)/3 and each of its k
// roundings is of that magnitude: the error is a random walk of k steps of eps*sqrt(k)/3.
template <typename T>
Tolerance tolerance(std::int64_t terms) {
  const double root = std::sqrt(static_cast<double>(std::max<std::int64_t>(terms, 1)));
  return sum_tolerance<T>(terms, std::max(1.0, root / 3.0));
}

template <typename T>
Operand<T> weights_of(const Case& c) {
  return Operand<T>::vector(c.g.weight_elems());
}

template <typename T>
Operand<T> packed(ExecutionContext& context, const Case& c, const Operand<T>& weight,
                  ConvPass pass) {
  Operand<T> buffer = Operand<T>::vector(conv_packed_elems(c.g, pass));
  const ConvPackArgs args{weight.data(), buffer.data(), c.g, pass, kDTypeOf<T>};
  conv_pack(context, {&args, 1});
  return buffer;
}

template <typename T>
struct Operands {
  explicit Operands(const Case& c)
      : x(c.n, c.h, c.w, c.g.cin, {3, 2}),
        y(c.n, c.out_h(), c.out_w(), c.g.cout, {1, 4}),
        weight(weights_of<T>(c)),
        bias(Operand<T>::vector(c.g.cout)) {}
  void random(std::uint64_t seed) {
    x.random(seed), y.random(seed + 1), weight.random(seed + 2), bias.random(seed + 3);
  }
  void integers(std::uint64_t seed) {
    x.integers(seed), y.integers(seed + 1), weight.integers(seed + 2), bias.integers(seed + 3);
  }
  AssertionResult intact() const {
    for (const Operand<T>* operand : {&x, &y, &weight, &bias}) {
      if (AssertionResult result = operand->intact(); !result) return result;
    }
    return AssertionSuccess();
  }
  Operand<T> x, y, weight, bias;
};

enum class Values { random, integers };

template <typename T>
Operands<T> operands(const Case& c, Values values, std::uint64_t seed) {
  Operands<T> o(c);
  values == Values::random ? o.random(seed) : o.integers(seed);
  return o;
}

AssertionResult named(const Case& c, const AssertionResult& result) {
  return result ? AssertionSuccess() : AssertionFailure() << c.text() << result.message();
}

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

std::vector<Case> geometry_cases() {
  std::vector<Case> cases;
  for (const std::int64_t kernel : {1, 2, 3, 5, 7}) {
    for (const std::int64_t stride : {1, 2, 3}) {
      for (std::int64_t padding = 0; padding < std::min<std::int64_t>(kernel, 4); ++padding) {
        const std::int64_t least = std::max<std::int64_t>(kernel - 2 * padding, 1);
        cases.push_back({2, least, least + 1, {3, 5, kernel, stride, padding}});
        cases.push_back({3, least + 6, least + 12, {6, 12, kernel, stride, padding}});
        cases.push_back({1, least + 18, least, {5, 6, kernel, stride, padding}});
        cases.push_back({5, least + 2, least + 1, {17, 24, kernel, stride, padding}});
      }
    }
  }
  return cases;
}

std::vector<Case> channel_cases() {
  const std::int64_t channels[] = {1, 3, 5, 6, 12, 17, 24, 33, 48, 100, 128};
  std::vector<Case> cases;
  for (const std::int64_t cin : channels) {
    for (const std::int64_t cout : channels) {
      cases.push_back({1, 3, 7, {cin, cout, 1, 1, 0}});
      cases.push_back({1, 5, 3, {cin, cout, 3, 2, 1}});
      if (cin <= 48 && cout <= 48) cases.push_back({1, 3, 5, {cin, cout, 3, 1, 1}});
    }
  }
  return cases;
}

// Branches, stems, transitions and classifiers of the CIFAR and ImageNet networks.
std::vector<Case> network_cases() {
  return {{2, 32, 32, {22, 6, 1, 1, 0}},  {2, 32, 32, {6, 6, 3, 1, 1}},
          {2, 32, 32, {6, 6, 3, 2, 1}},   {3, 16, 16, {56, 24, 1, 1, 0}},
          {2, 16, 16, {24, 12, 3, 2, 1}}, {2, 16, 16, {12, 6, 3, 1, 1}},
          {3, 8, 8, {88, 48, 1, 1, 0}},   {3, 8, 8, {48, 12, 3, 1, 1}},
          {2, 8, 8, {96, 24, 3, 1, 1}},   {2, 16, 16, {140, 70, 1, 1, 0}},
          {2, 8, 8, {164, 128, 3, 2, 1}}, {7, 4, 4, {128, 128, 3, 2, 1}},
          {2, 32, 32, {3, 16, 3, 1, 1}},  {1, 32, 32, {16, 32, 3, 2, 1}},
          {1, 47, 61, {3, 64, 7, 2, 3}},  {1, 29, 28, {16, 16, 3, 1, 1}},
          {1, 7, 7, {96, 96, 3, 2, 1}},   {9, 2, 2, {128, 10, 1, 1, 0}}};
}

std::vector<Case> empty_cases() {
  return {{0, 8, 8, {6, 12, 1, 1, 0}}, {0, 8, 8, {6, 12, 3, 1, 1}}, {0, 9, 8, {6, 12, 3, 2, 1}}};
}

std::vector<Case> small_cases() {
  return {{2, 5, 4, {3, 2, 3, 1, 1}}, {1, 6, 5, {2, 3, 3, 2, 1}}, {2, 3, 3, {4, 3, 1, 1, 0}},
          {1, 7, 8, {1, 2, 5, 3, 2}}, {1, 5, 5, {3, 1, 1, 2, 0}}, {1, 8, 7, {2, 1, 7, 2, 3}}};
}

// A unit and a chunk cover part of these, several units and chunks all of them.
std::vector<Case> large_cases() {
  return {{40, 16, 16, {6, 6, 3, 1, 1}},
          {3, 61, 67, {12, 24, 3, 1, 1}},
          {41, 8, 8, {24, 48, 1, 1, 0}},
          {70, 8, 8, {34, 100, 3, 2, 1}},
          {33, 33, 32, {13, 7, 1, 1, 0}}};
}

template <typename T>
class ConvForward : public OpTest {};
template <typename T>
class ConvBackwardData : public OpTest {};
template <typename T>
class ConvBackwardWeight : public OpTest {};
template <typename T>
class ConvPack : public OpTest {};
TYPED_TEST_SUITE(ConvForward, FloatTypes);
TYPED_TEST_SUITE(ConvBackwardData, FloatTypes);
TYPED_TEST_SUITE(ConvBackwardWeight, FloatTypes);
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

// A problem's bits are those of each image alone, wherever it lies in a batch.
template <typename T>
void expect_batch_invariance(ConvPass pass, const Case& c) {
  const bool forward = pass == ConvPass::forward;
  Operands<T> o = operands<T>(c, Values::random, 77);
  Operand<T>& in = forward ? o.x : o.y;
  Operand<T>& out = forward ? o.y : o.x;
  const auto run = [&](ExecutionContext& context, const Operand<T>& weight, Operand<T>& from,
                       Operand<T>& to) {
    to.poison();
    if (forward) {
      const ConvForwardArgs args{from.view(), weight.data(), o.bias.data(), to.view(), c.g, true};
      conv_forward(context, {&args, 1});
    } else {
      const ConvBackwardDataArgs args{from.view(), weight.data(), to.view(), c.g, false};
      conv_backward_data(context, {&args, 1});
    }
  };
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
    const Operand<T> weight = packed(context, c, o.weight, pass);
    run(context, weight, in, out);
    const std::vector<T> all_in = in.values(), all_out = out.values();
    const auto per_in = static_cast<std::ptrdiff_t>(all_in.size()) / c.n;
    const auto per_out = static_cast<std::ptrdiff_t>(all_out.size()) / c.n;
    const View in_view = in.view(), out_view = out.view();
    for (std::ptrdiff_t i = 0; i < c.n; ++i) {
      Operand<T> one_in(1, in_view.h, in_view.w, in_view.c, {0, 5});
      Operand<T> one_out(1, out_view.h, out_view.w, out_view.c, {2, 1});
      one_in.set(std::span(all_in).subspan(static_cast<std::size_t>(i * per_in),
                                           static_cast<std::size_t>(per_in)));
      run(context, weight, one_in, one_out);
      const std::vector<T> alone = one_out.values();
      if (!std::equal(alone.begin(), alone.end(), all_out.begin() + i * per_out)) {
        return AssertionFailure() << c.text() << "image " << i << " differs from itself alone";
      }
    }
    return AssertionSuccess();
  }));
}

std::vector<Case> batch_cases() {
  std::vector<Case> cases = network_cases();
  for (Case& c : cases) c.n = c.h > 16 ? 3 : 7;
  return cases;
}

TYPED_TEST(ConvForward, BatchInvariant) {
  for (const Case& c : batch_cases()) expect_batch_invariance<TypeParam>(ConvPass::forward, c);
}

// More problems than a body handles at once, of all shapes, in one call.
template <typename T>
void expect_groups_equal_single_calls(ConvPass pass) {
  const bool forward = pass == ConvPass::forward;
  std::vector<Case> cases = geometry_cases();
  cases.resize(70);
  std::vector<Operands<T>> all;
  for (const Case& c : cases) all.push_back(operands<T>(c, Values::random, 3));
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
    std::vector<Operand<T>> weights;
    std::vector<ConvForwardArgs> forwards;
    std::vector<ConvBackwardDataArgs> backwards;
    for (std::size_t i = 0; i < cases.size(); ++i) {
      weights.push_back(packed(context, cases[i], all[i].weight, pass));
      (forward ? all[i].y : all[i].x).poison();
      forwards.push_back(
          {all[i].x.view(), weights[i].data(), nullptr, all[i].y.view(), cases[i].g, false});
      backwards.push_back({all[i].y.view(), weights[i].data(), all[i].x.view(), cases[i].g, false});
    }
    forward ? conv_forward(context, forwards) : conv_backward_data(context, backwards);
    for (std::size_t i = 0; i < cases.size(); ++i) {
      Operand<T>& out = forward ? all[i].y : all[i].x;
      outputs.keep("output", out);
      if (AssertionResult result = out.written(); !result) return named(cases[i], result);
      const std::vector<T> together = out.values();
      out.poison();
      forward ? conv_forward(context, {&forwards[i], 1})
              : conv_backward_data(context, {&backwards[i], 1});
      if (out.values() != together) return AssertionFailure() << cases[i].text();
    }
    return AssertionSuccess();
  }));
}

TYPED_TEST(ConvForward, GroupsEqualSingleCalls) {
  expect_groups_equal_single_calls<TypeParam>(ConvPass::forward);
}

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
}  // namespace msd::test
