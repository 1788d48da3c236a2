// SPDX-License-Identifier: MIT
#include "apps/eval/budget.h"

#include <algorithm>
#include <cmath>
#include <iostream>
#include <limits>
#include <nlohmann/json.hpp>

#include "apps/common/evaluate.h"
#include "apps/common/table.h"
#include "models/exits/thresholds_file.h"
#include "models/network/cost.h"

namespace msd {
namespace {

void require_honest(const EvalOptions& options) {
  if (options.fit_part == "test") {
    throw ConfigError(
        "--fit-part test: thresholds fitted on the test set would flatter their own "
        "test accuracy; fit them on the hold-out (--fit-part holdout)");
  }
  if (options.fit_part == options.part) {
    throw ConfigError("--part " + options.part +
                      " is what the thresholds are fitted on; evaluate "
                      "them on other images (--part test)");
  }
}

ExitRecords records_of(const EvalRun& run, const ImageSelection& images) {
  return evaluate(run.runtime, run.network, run.options.precision.activations(), *images.set,
                  images.indices, run.description, run.options.batch_size)
      .records;
}

ThresholdsFile fit(const EvalRun& run, const ImageSelection& fit_images,
                   const ExitRecords& fit_records, const ImageSelection& images,
                   const ExitRecords& records) {
  ThresholdsFile file;
  file.model = run.checkpoint.fingerprint;
  file.checkpoint = run.checkpoint.path.string();
  file.config = run.network.config();
  file.fitted_on = {run.data.name, fit_images.part, fit_records.samples()};
  file.fitted_fingerprint = run.data.fingerprint;
  file.fitted_choice = run.options.data.identity();
  file.evaluated_on = {run.data.name, images.part, records.samples()};
  for (const ExitCost& cost : exit_costs(run.network.architecture())) {
    file.mul_adds_lazy.push_back(cost.mul_adds_lazy);
    file.ops.push_back(cost.ops);
  }
  for (const double p : budget_points()) {
    BudgetPoint point;
    point.p = p;
    point.thresholds = fit_thresholds(fit_records, exit_shares(p, fit_records.exits));
    const BudgetResult fitted = simulate_exits(fit_records, point.thresholds, file.mul_adds_lazy);
    point.expected_mul_adds = fitted.mean_cost;
    point.holdout_accuracy = fitted.accuracy;
    point.holdout_shares = fitted.shares;
    const BudgetResult result = simulate_exits(records, point.thresholds, file.mul_adds_lazy);
    point.accuracy = result.accuracy;
    point.mean_mul_adds = result.mean_cost;
    point.mean_ops = simulate_exits(records, point.thresholds, file.ops).mean_cost;
    point.shares = result.shares;
    file.points.push_back(std::move(point));
  }
  return file;
}

bool is_balanced(double p) { return std::abs(p - 1.0) < 1e-9; }

Report make_report(const ThresholdsFile& file) {
  const auto full = static_cast<double>(file.mul_adds_lazy.back());
  std::vector<ReportColumn> columns = {
      {"p", "p",
       [](const ReportValue& p) {
         return (is_balanced(p.number()) ? "balanced  " : "") + fixed(p.number(), 2);
       }},
      {"accuracy", "top-1 %", show_percent},
      {"mean_mul_adds", "mul-adds", show_count},
      {"", "of full %",
       [full](const ReportValue& mul_adds) { return percent(mul_adds.number() / full); }},
      {"mean_ops", "ops", show_count},
      {"", "left at each exit %", show_shares},
      {"holdout_accuracy", "", nullptr},
      {"expected_mul_adds", "", nullptr}};
  for (const char* key : {"share_", "threshold_"}) {
    for (std::size_t exit = 1; exit <= file.ops.size(); ++exit) {
      columns.push_back({key + std::to_string(exit), "", nullptr});
    }
  }
  Report report(std::move(columns));
  for (const BudgetPoint& point : file.points) {
    std::vector<ReportValue> row = {
        point.p,        point.accuracy, point.mean_mul_adds,    point.mean_mul_adds,
        point.mean_ops, point.shares,   point.holdout_accuracy, point.expected_mul_adds};
    for (const double share : point.shares) row.push_back(share);
    for (const float t : point.thresholds) {
      row.emplace_back(std::isinf(t) ? std::nullopt : std::optional<double>(t));
    }
    report.add_row(std::move(row));
  }
  return report;
}

std::string fitting_text(const ThresholdsFile& file) {
  return message("thresholds fitted on ", file.fitted_on.samples, " ", file.fitted_on.part,
                 " images of ", file.fitted_on.dataset, " (without augmentation), evaluated on ",
                 file.evaluated_on.samples, " ", file.evaluated_on.part, " images",
                 file.fitted_on.part == "train"
                     ? "; the network was trained on the former and is too sure of them"
                     : "");
}

}  // namespace

void evaluate_budgets(const EvalRun& run) {
  const EvalOptions& options = run.options;
  require_honest(options);
  const auto select = [&](const std::string& part) {
    return select_images(part, run.data, options.data, run.checkpoint, options.split_given());
  };
  const ImageSelection fit_images = select(options.fit_part), images = select(options.part);
  const ExitRecords fit_records = records_of(run, fit_images), records = records_of(run, images);
  const ThresholdsFile file = fit(run, fit_images, fit_records, images, records);
  const std::string path = options.thresholds_path();
  write_thresholds(path, file);
  std::cerr << "wrote " << path << '\n';

  const Thresholds nobody_leaves(file.ops.size(), std::numeric_limits<float>::infinity());
  const double full_accuracy = simulate_exits(records, nobody_leaves, file.ops).accuracy;
  const Report report = make_report(file);
  nlohmann::ordered_json json = thresholds_json(file);
  json["full_network"] = {{"accuracy", full_accuracy},
                          {"mul_adds", file.mul_adds_lazy.back()},
                          {"ops", file.ops.back()}};
  const std::string fitting = fitting_text(file) + "\n";
  const std::string full =
      message("full network: ", percent(full_accuracy), " % at ",
              human_count(static_cast<double>(file.mul_adds_lazy.back())), " mul-adds (",
              human_count(static_cast<double>(file.ops.back())), " ops)\n");
  publish({.stem = "budget",
           .rows = report,
           .json = json,
           .above = fitting,
           .below = full,
           .beside_csv = fitting},
          options.output, options.format());
}

}  // namespace msd
