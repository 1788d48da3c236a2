// SPDX-License-Identifier: MIT
// What the convolutions' tests share: cases, and properties that the ops have in common. Every
// operand lies in wider rows at an odd channel, with NaN in the gaps and fences around.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/kernels/call_runs.h"
#include "tests/kernels/calls/convolution.h"

namespace msd::test::conv {

using Case = calls::ConvShape;
using calls::whole;

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

template <typename Call>
testing::AssertionResult intact(const Call& p) {
  MSD_RETURN_IF_FAILED(p.x.intact());
  MSD_RETURN_IF_FAILED(p.y.intact());
  MSD_RETURN_IF_FAILED(p.weight.intact());
  return p.bias.intact();
}

/// A problem's bits are those of each image alone, wherever it lies in a batch. Call: with packed
/// weights, on T.
template <typename Call, typename T>
void expect_batch_invariance(const Case& c) {
  const Case batch = {c.n, c.h, c.w, c.g, true, true}, single = {1, c.h, c.w, c.g, true, true};
  Call all(batch, {77}), one(single, {77}, {{0, 5}, {2, 1}});
  EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
    run_and_keep(context, outputs, all);
    const std::vector<T> all_in = all.input().values(), all_out = all.output().values();
    const std::size_t per_in = all_in.size() / static_cast<std::size_t>(c.n);
    const auto per_out = static_cast<std::ptrdiff_t>(all_out.size()) / c.n;
    for (std::int64_t i = 0; i < c.n; ++i) {
      prepare(context, one);
      one.input().set(std::span(all_in).subspan(static_cast<std::size_t>(i) * per_in, per_in));
      calls::run(context, one);
      const std::vector<T> alone = one.output().values();
      if (!std::equal(alone.begin(), alone.end(), all_out.begin() + i * per_out)) {
        return testing::AssertionFailure()
               << c.text() << "image " << i << " differs from itself alone";
      }
    }
    return testing::AssertionSuccess();
  }));
}

/// More problems than a body handles at once, of all shapes, in one call.
template <typename Call>
void expect_groups_equal_single_calls() {
  std::vector<Case> cases = geometry_cases();
  cases.resize(70);
  std::vector<Call> group;
  for (const Case& c : cases) group.emplace_back(c, calls::Content{3});
  EXPECT_TRUE(group_equals_single_calls(group));
}

}  // namespace msd::test::conv
