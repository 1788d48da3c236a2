// SPDX-License-Identifier: MIT
// Every kernel with every fault that can be planted into it.
#include <vector>

#include "tests/kernels/calls/batchnorm.h"
#include "tests/kernels/calls/classification.h"
#include "tests/kernels/calls/convolution.h"
#include "tests/kernels/calls/exits.h"
#include "tests/kernels/calls/images.h"
#include "tests/kernels/calls/linear.h"
#include "tests/kernels/calls/movement.h"
#include "tests/kernels/calls/optimizer.h"
#include "tests/kernels/calls/pooling.h"
#include "tests/kernels/fault_inspection.h"

namespace msd::test {
namespace {

using F32 = Guarded<float>;

// Several chunks of rows and several tiles of channels.
constexpr calls::Shape kRows = {2, 350, 1, 37};

TEST(PlantedFaults, BatchnormForward) { inspect_call(calls::BatchnormForward<F32>(kRows)); }

// Several chunks of parts and several tiles of channels.
TEST(PlantedFaults, BatchnormForwardFromStatistics) {
  calls::BatchnormForward<F32> call(calls::Shape{1, 33, 65, 37});
  calls::StatisticsRoom<F32> room(call.x.view(), {4, 0.5, 1.5});
  const BatchStatistics statistics = room.of(call.x.view());
  call.statistics = &statistics;
  inspect_call(std::move(call));
}

TEST(PlantedFaults, BatchnormBackward) { inspect_call(calls::BatchnormBackward<F32>(kRows)); }

TEST(PlantedFaults, BatchnormInference) { inspect_call(calls::BatchnormInference<F32>(kRows)); }

/// Packs, convolves and leaves statistics.
struct Convolved {
  Convolved(const calls::ConvShape& s, Gap gap) : call(s, {1}, {gap}), room(call.y.view()) {}
  void run(ExecutionContext& context, Outputs& out) {
    room.room.poison();
    BatchStatistics statistics = room.empty();
    call.statistics = &statistics;
    run_and_keep(context, out, call);
    out.keep("packed", call.packed), out.keep("statistics", room.room);
  }
  calls::ConvForward<F32> call;
  calls::StatisticsRoom<F32> room;
};

/// Packs and convolves backwards.
struct Transposed {
  Transposed(const calls::ConvShape& s, Gap gap) : call(s, {1}, {{}, gap}) {}
  void run(ExecutionContext& context, Outputs& out) {
    run_and_keep(context, out, call);
    out.keep("packed", call.packed);
  }
  calls::ConvBackwardData<F32> call;
};

// With the largest halo and with gathered rows (the largest phase of a stride of 2 has 4 taps), of
// both passes. Four slices of K or more, so that every stage is used again; the four tiles; whole
// and odd copies; last blocks that have rows.
TEST(PlantedFaults, ConvForwardAndBackwardData) {
  const auto inspect_both = [](auto halo, auto gathered) {
    inspect([&](ExecutionContext& context, Outputs& out) {
      halo.run(context, out);
      gathered.run(context, out);
    });
  };
  for (const std::int64_t channels : {6, 12, 24, 40}) {
    const Gap gap{channels == 12 ? 1 : 0, 0};
    SCOPED_TRACE(channels);
    inspect_both(Convolved({1, 3, 56, {20, channels, 3, 1, 1}, false}, gap),
                 Convolved({1, 24, 25, {20, channels, 3, 2, 1}, false}, gap));
    const bool accumulate = channels == 24;
    inspect_both(Transposed({1, 3, 56, {channels, 20, 3, 1, 1}, false, false, accumulate}, gap),
                 Transposed({1, 12, 25, {channels, 20, 3, 2, 1}, false, false, accumulate}, gap));
  }
}

// Four slices of rows or more in each of two splits, whole tiles of groups; the four tiles.
TEST(PlantedFaults, ConvBackwardWeight) {
  for (const std::int64_t cout : {6, 12, 24, 40}) {
    const std::int64_t stride = cout == 12 ? 2 : 1, size = 13 * stride;
    inspect_call(
        calls::ConvBackwardWeight<F32>({2, size, size, {cout == 40 ? 40 : 20, cout, 3, stride, 1}},
                                       {1}, {{cout == 24 ? 1 : 0, 0}}));
  }
}

TEST(PlantedFaults, FiniteCheck) {
  calls::FiniteCheck<F32> call(40000);
  // With lane 1 of warp 1, which a wrong lane misses.
  call.data.at(0, 33) = std::numeric_limits<float>::infinity();
  inspect_call(std::move(call));
}

TEST(PlantedFaults, Sgd) { inspect_call(calls::Sgd<F32>(3001)); }

TEST(PlantedFaults, RowMoves) {
  constexpr calls::Shape kMap = {2, 31, 9, 17};
  inspect_call(calls::Copy<F32>(kMap, {1, 2}, {2, 1}));
  inspect_call(calls::Accumulate<F32>(kMap, {1, 2}, {2, 1}));
  inspect_call(calls::Fill<F32>(kMap, 3.0, {2, 1}));
}

TEST(PlantedFaults, Concat) {
  calls::Concat<F32> call({2, 31, 9, 0}, {17, 6}, {1, 2});
  inspect_call(std::move(call));
}

TEST(PlantedFaults, Pooling) {
  const calls::MaxPoolShape max{{2, 13, 11, 17}, {3, 2, 1}};
  const calls::AvgPoolShape avg{{2, 13, 11, 17}, 2, 2};
  inspect_call(calls::MaxPoolForward<F32>(max));
  inspect_call(calls::MaxPoolBackward<F32>(max, {}, {}, {2}));
  inspect_call(calls::AvgPoolForward<F32>(avg));
  inspect_call(calls::AvgPoolBackward<F32>(avg));
}

TEST(PlantedFaults, Linear) {
  inspect_call(calls::LinearForward<F32>({13, 40, 18}));
  inspect_call(calls::LinearBackward<F32>({13, 40, 18}));
}

TEST(PlantedFaults, Softmax) {
  inspect_call(calls::SoftmaxCrossEntropy<F32>({21, 70}));
  inspect_call(calls::SoftmaxConfidence<F32>({21, 70}));
}

TEST(PlantedFaults, SelectSurvivors) { inspect_call(calls::SelectSurvivors<F32>(3100, 0.25)); }

// As many exits as a launch takes, so that all of the shared memory is used.
TEST(PlantedFaults, CountExits) {
  calls::CountExits<F32> call({21, 37, 16});
  inspect([&](ExecutionContext& context, Outputs& out) {
    run_and_keep(context, out, call);
    out.keep("sums", call.sums);
  });
}

TEST(PlantedFaults, Images) {
  inspect_call(calls::ImageToFloat<F32>({3, 12, 13, {2, 12, 13, 3}}));
  inspect_call(calls::GatherRows<F32>({3, 12, 13, 3}, 2));
}

}  // namespace
}  // namespace msd::test
