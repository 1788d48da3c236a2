// SPDX-License-Identifier: MIT
// What the convolutions' tests share: cases, double references, operands and properties that
// forward and backward_data have in common. Every operand lies in wider rows at an odd channel,
// with NaN in the gaps and fences around.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/kernels/op_harness.h"

namespace msd::test::conv {

struct Case {
  std::int64_t n, h, w;
  ConvGeometry g;

  std::int64_t out_h() const { return g.out_size(h); }
  std::int64_t out_w() const { return g.out_size(w); }
  std::string text() const;
};

std::vector<double> reference_y(const Case& c, const std::vector<double>& x,
                                const std::vector<double>& weight, const std::vector<double>& bias,
                                bool relu);
std::vector<double> reference_dx(const Case& c, const std::vector<double>& dy,
                                 const std::vector<double>& weight);
std::vector<double> reference_dw(const Case& c, const std::vector<double>& x,
                                 const std::vector<double>& dy);
std::vector<double> reference_dbias(const Case& c, const std::vector<double>& dy);

std::vector<Case> geometry_cases();
std::vector<Case> channel_cases();
/// Branches, stems, transitions and classifiers of the CIFAR and ImageNet networks.
std::vector<Case> network_cases();
/// Those with 3 or 7 images.
std::vector<Case> batch_cases();
std::vector<Case> empty_cases();
std::vector<Case> small_cases();
/// A unit and a chunk of the CPU's cover part of these, several units and chunks all of them.
std::vector<Case> large_cases();

/// The result with the case's name before its message.
testing::AssertionResult named(const Case& c, const testing::AssertionResult& result);

/// Values are in [-1, 1], so a running sum of k products grows like sqrt(k)/3 and each of its k
/// roundings is of that magnitude: the error is a random walk of k steps of eps*sqrt(k)/3.
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
  testing::AssertionResult intact() const {
    for (const Operand<T>* operand : {&x, &y, &weight, &bias}) {
      if (testing::AssertionResult result = operand->intact(); !result) return result;
    }
    return testing::AssertionSuccess();
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

/// A problem's bits are those of each image alone, wherever it lies in a batch.
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
        return testing::AssertionFailure()
               << c.text() << "image " << i << " differs from itself alone";
      }
    }
    return testing::AssertionSuccess();
  }));
}

/// More problems than a body handles at once, of all shapes, in one call.
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
      if (testing::AssertionResult result = out.written(); !result) return named(cases[i], result);
      const std::vector<T> together = out.values();
      out.poison();
      forward ? conv_forward(context, {&forwards[i], 1})
              : conv_backward_data(context, {&backwards[i], 1});
      if (out.values() != together) return testing::AssertionFailure() << cases[i].text();
    }
    return testing::AssertionSuccess();
  }));
}

}  // namespace msd::test::conv
