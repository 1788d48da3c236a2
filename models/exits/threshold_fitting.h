// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "models/exits/exit_records.h"
#include "models/exits/exit_rule.h"

namespace msd {

/// Share of samples meant to leave at each exit: q_k proportional to p^k, k = 1..exits, summing
/// to 1 (the paper, section 4.2). p > 0.
std::vector<double> exit_shares(double p, std::int64_t exits);

/// The 39 values of p that trace the budgets: 0.05, 0.10, ..., 1.95.
std::vector<double> budget_points();

/// Thresholds that let floor(samples*shares[k]) of the samples still there leave at exit k, those
/// of the highest confidence; equal confidences leave together; where fewer are left, all leave.
/// +infinity where nobody is to leave; the last exit has 0.
Thresholds fit_thresholds(const ExitRecords& records, const std::vector<double>& shares);

/// The first exit whose threshold the sample's confidence reaches. Throws ShapeError unless there
/// is one for each exit.
std::int64_t leaving_exit(const ExitRecords& records, std::int64_t sample,
                          const Thresholds& thresholds);

struct BudgetResult {
  double accuracy = 0.0;       // in [0, 1]
  double mean_cost = 0.0;      // of costs, a sample
  std::vector<double> shares;  // of samples that leave at each exit, in [0, 1]
};

/// Early exit simulated on what every exit said: what a run that stops there would give, without
/// running it. costs: of leaving at each exit.
BudgetResult simulate_exits(const ExitRecords& records, const Thresholds& thresholds,
                            const std::vector<std::int64_t>& costs);

}  // namespace msd
