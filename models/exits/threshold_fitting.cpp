// SPDX-License-Identifier: MIT
#include "models/exits/threshold_fitting.h"
#include "models/exits/exit_decision.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/check.h"

namespace msd {

std::vector<double> exit_shares(double p, std::int64_t exits) {
  MSD_CHECK(p > 0 && std::isfinite(p) && exits >= 1, "exit shares for p = ", p, ", ", exits,
            " exits");
  std::vector<double> shares;
  double total = 0.0;
  for (std::int64_t k = 1; k <= exits; ++k) {
    shares.push_back(std::pow(p, static_cast<double>(k)));
    total += shares.back();
  }
  for (double& share : shares) share /= total;
  return shares;
}

std::vector<double> budget_points() {
  std::vector<double> points;
  for (int i = 1; i < 40; ++i) points.push_back(i / 20.0);
  return points;
}

Thresholds fit_thresholds(const ExitRecords& records, const std::vector<double>& shares) {
  const std::int64_t exits = records.exits, samples = records.samples();
  MSD_CHECK(static_cast<std::int64_t>(shares.size()) == exits, shares.size(), " shares for ", exits,
            " exits");
  Thresholds thresholds(static_cast<std::size_t>(exits), std::numeric_limits<float>::infinity());
  std::vector<std::int64_t> left(static_cast<std::size_t>(samples));
  for (std::int64_t i = 0; i < samples; ++i) left[static_cast<std::size_t>(i)] = i;
  for (std::int64_t exit = 0; exit + 1 < exits; ++exit) {
    const auto quota = static_cast<std::int64_t>(
        std::floor(static_cast<double>(samples) * shares[static_cast<std::size_t>(exit)]));
    const std::int64_t leave = std::min(quota, static_cast<std::int64_t>(left.size()));
    if (leave == 0) continue;
    std::vector<float> confidences;
    for (const std::int64_t sample : left) {
      const float confidence = records.confidence[records.at(sample, exit)];
      MSD_CHECK(!std::isnan(confidence), "sample ", sample, " has confidence NaN at exit ",
                exit + 1, "; has the network diverged?");
      confidences.push_back(confidence);
    }
    const auto nth = confidences.begin() + (leave - 1);
    std::nth_element(confidences.begin(), nth, confidences.end(), std::greater<>());
    const float threshold = *nth;
    thresholds[static_cast<std::size_t>(exit)] = threshold;
    std::erase_if(left, [&](std::int64_t sample) {
      return records.confidence[records.at(sample, exit)] >= threshold;
    });
  }
  thresholds.back() = 0.0f;
  return thresholds;
}

std::int64_t leaving_exit(const ExitRecords& records, std::int64_t sample,
                          const Thresholds& thresholds) {
  MSD_CHECK(std::ssize(thresholds) == records.exits, thresholds.size(), " thresholds for ",
            records.exits, " exits");
  std::int64_t exit = 0;
  while (!reaches(thresholds, exit, records.confidence[records.at(sample, exit)])) ++exit;
  return exit;
}

BudgetResult simulate_exits(const ExitRecords& records, const Thresholds& thresholds,
                            const std::vector<std::int64_t>& costs) {
  const auto exits = static_cast<std::size_t>(records.exits);
  MSD_CHECK(thresholds.size() == exits && costs.size() == exits, thresholds.size(),
            " thresholds and ", costs.size(), " costs for ", exits, " exits");
  std::vector<std::int64_t> counts(exits, 0);
  std::int64_t correct = 0, cost = 0;
  for (std::int64_t sample = 0; sample < records.samples(); ++sample) {
    const std::int64_t exit = leaving_exit(records, sample, thresholds);
    ++counts[static_cast<std::size_t>(exit)];
    cost += costs[static_cast<std::size_t>(exit)];
    correct += records.prediction[records.at(sample, exit)] ==
               records.labels[static_cast<std::size_t>(sample)];
  }
  BudgetResult result;
  const double samples = static_cast<double>(std::max<std::int64_t>(1, records.samples()));
  result.accuracy = static_cast<double>(correct) / samples;
  result.mean_cost = static_cast<double>(cost) / samples;
  for (const std::int64_t count : counts) {
    result.shares.push_back(static_cast<double>(count) / samples);
  }
  return result;
}

}  // namespace msd
