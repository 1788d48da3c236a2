// SPDX-License-Identifier: MIT
// Small graphs built from the autograd nodes against central differences of a naive computation.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/engine/tape_model.h"
#include "tests/support/allocators.h"
#include "tests/support/tensors.h"

namespace msd {
namespace {

using test::TapeModel;
using In = TapeModel::Pair;

constexpr Tape::BufferOptions kInPlace = {.requires_gradient = true, .gradient_in_place = true};

Variable channels(Variable v, std::int64_t first, std::int64_t count) {
  return {v.buffer, v.first + first, count};
}

// Double: the rounding and curvature of central differences with steps down to 1e-7, measured 7e-9
// at most over these graphs. Float: measured 1.3e-6. Both times fifteen.
void expect_close(const TapeModel::Result& actual, const TapeModel::Result& expected, DType dtype) {
  const double floor = 1e-3;
  test::Differences values, gradients;
  values.add("losses", actual.losses, expected.losses);
  for (std::size_t i = 0; i < expected.statistics.size(); ++i) {
    values.add("statistic " + std::to_string(i), actual.statistics.at(i), expected.statistics[i]);
  }
  ASSERT_EQ(actual.gradients.size(), expected.gradients.size());
  for (std::size_t p = 0; p < expected.gradients.size(); ++p) {
    gradients.add("gradient of parameter " + std::to_string(p), actual.gradients[p],
                  expected.gradients[p], 1, floor);
  }
  const bool exact = dtype == DType::f64;
  // Sums of a few hundred products, a few layers deep: some units in the last place.
  EXPECT_TRUE(values.within(exact ? 1e-13 : 4e-5));
  EXPECT_TRUE(gradients.within(exact ? 1e-7 : 2e-5));
  gradients.record(exact ? "f64" : "f32");
}

/// Everything a graph is checked for: values, repetition, threads, reads of unwritten memory.
void check(const TapeModel& model) {
  const TapeModel::Result expected = model.reference();
  for (const DType dtype : {DType::f64, DType::f32}) {
    SCOPED_TRACE(name(dtype));
    Runtime plain(1);
    TapeModel::Recorded first(model, plain, dtype);
    first.tape().forward();
    first.tape().backward();
    const TapeModel::Result result = first.result();
    expect_close(result, expected, dtype);

    // Parameters' gradients are overwritten, so that a second run gives the same again.
    first.tape().forward();
    first.tape().backward();
    EXPECT_EQ(first.result().losses, result.losses);
    EXPECT_EQ(first.result().gradients, result.gradients);

    SystemAllocator system;
    test::PoisonAllocator poison(system);
    Runtime poisoned(2);
    poisoned.set_allocator(poison);
    TapeModel::Recorded second(model, poisoned, dtype);
    second.tape().forward();
    second.tape().backward();
    EXPECT_TRUE(second.result() == result) << "with unwritten memory as NaN and two threads";
  }
}

TEST(TapeGradient, ConvolutionNormLinear) {
  TapeModel m(3);
  const Variable x = m.input(5, 4, 3), raw = m.buffer(5, 4, 6, kInPlace), y = m.buffer(5, 4, 6);
  const Variable pooled = m.buffer(1, 1, 6), logits = m.buffer(1, 1, 4);
  m.convolutions({{x, raw}});
  m.norms({{raw, y}});
  m.average_pools({{y, pooled}});
  m.linears({{pooled, logits}});
  m.losses({{logits}});
  check(m);
}

TEST(TapeGradient, NormsNeedNotBeInPlace) {
  TapeModel m(2);
  const Variable x = m.input(4, 4, 2), raw = m.buffer(4, 4, 5), y = m.buffer(4, 4, 5);
  const Variable pooled = m.buffer(1, 1, 5), logits = m.buffer(1, 1, 3);
  m.convolutions({{x, raw, 1}});
  m.norms({{raw, y}});
  m.average_pools({{y, pooled}});
  m.linears({{pooled, logits}});
  m.losses({{logits}});
  check(m);
}

TEST(TapeGradient, AccumulatesOverThreeReaders) {
  TapeModel m(2);
  const Variable x = m.input(6, 6, 3), raw = m.buffer(6, 6, 4, kInPlace), y = m.buffer(6, 6, 4);
  m.convolutions({{x, raw}});
  m.norms({{raw, y}});
  // A strided convolution, a pool and an average read y.
  const Variable a = m.buffer(3, 3, 4), b = m.buffer(3, 3, 4);
  const Variable features = m.buffer(1, 1, 12), logits = m.buffer(1, 1, 3);
  m.convolutions({{y, a, 3, 2}});
  m.max_pools({{y, b}});
  m.average_pools({{y, channels(features, 0, 4)},
                   {a, channels(features, 4, 4)},
                   {b, channels(features, 8, 4)}});
  m.linears({{features, logits}});
  m.losses({{logits}});
  check(m);
}

// As a layer of MSDNet: the features of a scale grow slice by slice, and the 1x1 convolutions of
// one group read prefixes of different lengths, so that their gradients overlap.
TEST(TapeGradient, PrefixesSharedByOneGroup) {
  TapeModel m(2);
  const Variable x = m.input(5, 5, 3), features = m.buffer(5, 5, 10);
  const Variable stem = m.buffer(5, 5, 4, kInPlace);
  m.convolutions({{x, stem}});
  m.norms({{stem, channels(features, 0, 4)}});
  const Variable a = m.buffer(5, 5, 3, kInPlace), b = m.buffer(5, 5, 3, kInPlace);
  m.convolutions({{channels(features, 0, 4), a, 1}, {channels(features, 0, 4), b, 3}});
  m.norms({{a, channels(features, 4, 3)}, {b, channels(features, 7, 3)}});
  std::vector<TapeModel::Conv> group;
  std::vector<In> norms, pools;
  const Variable pooled = m.buffer(1, 1, 8), logits = m.buffer(1, 1, 4);
  std::int64_t done = 0;
  for (const std::int64_t prefix : {7, 4, 10, 5}) {
    const Variable raw = m.buffer(5, 5, 2, kInPlace), y = m.buffer(5, 5, 2);
    group.push_back({channels(features, 0, prefix), raw, 1});
    norms.push_back({raw, y});
    pools.push_back({y, channels(pooled, done, 2)});
    done += 2;
  }
  m.convolutions(group);
  m.norms(norms);
  m.average_pools(pools);
  m.linears({{pooled, logits}});
  m.losses({{logits}});
  check(m);
}

TEST(TapeGradient, PoolsOfOneGroupSharePrefixes) {
  TapeModel m(2);
  const Variable x = m.input(6, 5, 3), raw = m.buffer(6, 5, 6, kInPlace), y = m.buffer(6, 5, 6);
  const Variable a = m.buffer(3, 3, 6), b = m.buffer(3, 3, 4), pooled = m.buffer(1, 1, 12);
  const Variable logits = m.buffer(1, 1, 3);
  m.convolutions({{x, raw}});
  m.norms({{raw, y}});
  m.max_pools({{y, a}, {channels(y, 1, 4), b}});
  m.average_pools({{a, channels(pooled, 0, 6)},
                   {channels(a, 2, 2), channels(pooled, 6, 2)},
                   {b, channels(pooled, 8, 4)}});
  m.linears({{pooled, logits}});
  m.losses({{logits}});
  check(m);
}

TEST(TapeGradient, APartOfAnOutputThatNobodyReadsHasGradientZero) {
  TapeModel m(3);
  const Variable x = m.input(4, 4, 3), raw = m.buffer(4, 4, 8, kInPlace), y = m.buffer(4, 4, 8);
  const Variable pooled = m.buffer(1, 1, 5), logits = m.buffer(1, 1, 3);
  m.convolutions({{x, raw}});
  m.norms({{raw, y}});
  // Channels 1, 2, 3 and 6, 7 are read; 0, 4 and 5 are not.
  m.average_pools(
      {{channels(y, 1, 3), channels(pooled, 0, 3)}, {channels(y, 6, 2), channels(pooled, 3, 2)}});
  m.linears({{pooled, logits}});
  m.losses({{logits}});
  check(m);
}

TEST(TapeGradient, AReaderOfMoreThanWasCoveredFillsTheRest) {
  TapeModel m(2);
  const Variable x = m.input(4, 4, 3), raw = m.buffer(4, 4, 6, kInPlace), y = m.buffer(4, 4, 6);
  const Variable pooled = m.buffer(1, 1, 8), logits = m.buffer(1, 1, 3);
  m.convolutions({{x, raw}});
  m.norms({{raw, y}});
  // Backward meets the later node first: its gradient covers channels 2 and 3 alone.
  m.average_pools({{y, channels(pooled, 0, 6)}});
  m.average_pools({{channels(y, 2, 2), channels(pooled, 6, 2)}});
  m.linears({{pooled, logits}});
  m.losses({{logits}});
  check(m);
}

TEST(TapeGradient, ABranchNobodyReadsIsMaskedButItsStatisticsMove) {
  TapeModel m(3);
  const Variable x = m.input(4, 4, 3), raw = m.buffer(4, 4, 4, kInPlace), y = m.buffer(4, 4, 7);
  const Variable pooled = m.buffer(1, 1, 4), logits = m.buffer(1, 1, 3);
  m.convolutions({{x, raw}});           // parameter 0
  m.norms({{raw, channels(y, 0, 4)}});  // 1, 2
  const Variable mid = m.buffer(4, 4, 2, kInPlace), mid_y = m.buffer(4, 4, 2);
  const Variable end = m.buffer(4, 4, 3, kInPlace);
  m.convolutions({{channels(y, 0, 4), mid, 1}});  // 3: the dead branch
  m.norms({{mid, mid_y}});                        // 4, 5
  m.convolutions({{mid_y, end, 3}});              // 6
  m.norms({{end, channels(y, 4, 3)}});            // 7, 8
  m.average_pools({{channels(y, 0, 4), pooled}});
  m.linears({{pooled, logits}});  // 9, 10
  m.losses({{logits}});
  check(m);
  const TapeModel::Result expected = m.reference();
  for (std::size_t p = 0; p < 11; ++p) {
    EXPECT_EQ(expected.gradients[p].empty(), p >= 3 && p <= 8) << p;
  }
}

TEST(TapeGradient, DeadAndLiveProblemsOfOneGroup) {
  TapeModel m(2);
  const Variable x = m.input(4, 5, 3), live_raw = m.buffer(4, 5, 4, kInPlace);
  const Variable dead_raw = m.buffer(4, 5, 3, kInPlace), live = m.buffer(4, 5, 4);
  const Variable dead = m.buffer(4, 5, 3), pooled = m.buffer(1, 1, 4), logits = m.buffer(1, 1, 3);
  m.convolutions({{x, dead_raw}, {x, live_raw}});
  m.norms({{dead_raw, dead}, {live_raw, live}});
  m.average_pools({{live, pooled}});
  m.linears({{pooled, logits}});
  m.losses({{logits}});
  check(m);
}

TEST(TapeGradient, SeveralLossesWithWeights) {
  TapeModel m(3);
  const Variable x = m.input(6, 6, 2), raw = m.buffer(6, 6, 4, kInPlace), y = m.buffer(6, 6, 4);
  const Variable raw2 = m.buffer(3, 3, 5, kInPlace), y2 = m.buffer(3, 3, 5);
  const Variable pooled = m.buffer(1, 1, 4), pooled2 = m.buffer(1, 1, 5);
  const Variable logits = m.buffer(1, 1, 4), logits2 = m.buffer(1, 1, 4);
  m.convolutions({{x, raw}});
  m.norms({{raw, y}});
  m.average_pools({{y, pooled}});
  m.linears({{pooled, logits}});
  m.convolutions({{y, raw2, 3, 2}});
  m.norms({{raw2, y2}});
  m.average_pools({{y2, pooled2}});
  m.linears({{pooled2, logits2}});
  m.losses({{logits, 0.25}, {logits2, 3.0}});
  check(m);
}

// The stem of the ImageNet networks: 7x7 with a bias, norm, max pool with padding.
TEST(TapeGradient, WideStemWithBiasAndMaxPool) {
  TapeModel m(2);
  const Variable x = m.input(11, 9, 3), a = m.buffer(6, 5, 4, kInPlace), b = m.buffer(6, 5, 4);
  const Variable c = m.buffer(3, 3, 4), d = m.buffer(2, 2, 5), e = m.buffer(1, 1, 5);
  const Variable logits = m.buffer(1, 1, 3);
  m.convolutions({{x, a, 7, 2}});
  m.norms({{a, b}});
  m.max_pools({{b, c}});
  m.convolutions({{c, d, 3, 2, true}});  // no norm behind it, so that its bias has a gradient
  m.average_pools({{d, e}});
  m.linears({{e, logits}});
  m.losses({{logits}});
  check(m);
}

}  // namespace
}  // namespace msd
