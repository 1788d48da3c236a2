// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <vector>

#include "tests/kernels/calls/memory.h"

namespace msd::calls {

template <typename Memory>
struct SelectSurvivors {
  explicit SelectSurvivors(std::int64_t values, double limit = 0.5, Memory memory = {})
      : count(values),
        threshold(limit),
        confidence(memory.flat(values, {1, 0.0, 1.0})),
        survivors(memory.template large<std::int32_t>(values, {})),
        survivor_count(memory.template array<std::int32_t>(1, {})) {}
  MSD_CALL(select_survivors, survivors, survivor_count)
  SelectSurvivorsArgs args() {
    return {confidence.data(),    count, Memory::kValues, threshold, survivors.data(),
            survivor_count.data()};
  }
  std::int64_t count;
  double threshold;
  typename Memory::Values confidence;
  typename Memory::template Array<std::int32_t> survivors, survivor_count;
};

struct ExitsShape {
  std::int64_t n, classes, exits;
};

/// What is added to the losses [exits] and counts [exits][4]. z: the exits' packed logits.
struct ExitCountsReference {
  ExitCountsReference(const ExitsShape& s, const std::vector<std::vector<double>>& z,
                      const std::vector<double>& labels);
  std::vector<double> losses;
  std::vector<std::array<std::int64_t, 4>> counts;
};

template <typename Memory>
struct CountExits {
  static constexpr double kStartLoss = 2.5;
  static constexpr std::int64_t kStartCount = 7;

  explicit CountExits(const ExitsShape& s, Gap gap = {}, Memory memory = {})
      : shape(s),
        labels(memory.template array<std::int32_t>(
            s.n, whole(99, 0, static_cast<double>(s.classes - 1)))),
        sums(memory.values(s.n * s.classes, {})),
        loss_sum(memory.template array<double>(s.exits, {})),
        correct(memory.template array<std::int64_t>(4 * s.exits, {})) {
    for (std::int64_t k = 0; k < s.exits; ++k) {
      logits.push_back(
          memory.rows({s.n, 1, 1, s.classes}, gap, {static_cast<std::uint64_t>(k) + 1, -3.0, 3.0}));
    }
  }
  MSD_CALL(count_exits, loss_sum, correct)
  /// Good until the next args().
  CountExitsArgs args() {
    views.clear();
    for (auto& each : logits) views.push_back(each.view());
    return {views, labels.data(), sums.data(), loss_sum.data(), correct.data()};
  }
  void start() {
    sums.poison();
    loss_sum.fill(kStartLoss);
    correct.fill(kStartCount);
  }
  ExitsShape shape;
  std::vector<typename Memory::Rows> logits;
  std::vector<ConstView> views;
  typename Memory::template Array<std::int32_t> labels;
  typename Memory::Values sums;
  typename Memory::template Array<double> loss_sum;
  typename Memory::template Array<std::int64_t> correct;
};

}  // namespace msd::calls
