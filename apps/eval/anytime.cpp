// SPDX-License-Identifier: MIT
#include "apps/eval/anytime.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "apps/common/evaluate.h"
#include "apps/common/table.h"
#include "models/inference/image_session.h"
#include "models/inference/latency.h"
#include "models/network/cost.h"

namespace msd {
namespace {

using nlohmann::ordered_json;

constexpr std::int64_t kWarmUpImages = 3;

// Milliseconds from a loaded image to the answer of each exit on one thread, as msd-infer runs:
// medians; empty where no images are timed.
std::vector<double> measure_ms(const EvalRun& run, const ImageSelection& images) {
  const auto count =
      std::min(run.options.time_images, static_cast<std::int64_t>(images.indices.size()));
  if (count == 0) return {};
  Runtime runtime(1, run.runtime.device());
  run.options.precision.apply(runtime);
  const Plan plan(runtime, run.network, run.options.precision.activations());
  ImageSession session(runtime, plan, run.description);
  std::vector<std::vector<double>> times(static_cast<std::size_t>(plan.stages()));
  for (std::int64_t i = -kWarmUpImages; i < count; ++i) {
    const auto index = images.indices[static_cast<std::size_t>(std::max<std::int64_t>(0, i))];
    session.load(images.set->image(index).data());
    const auto start = std::chrono::steady_clock::now();
    for (std::int64_t stage = 0; stage < plan.stages(); ++stage) {
      session.run_stage(stage);
      const std::chrono::duration<double, std::milli> elapsed =
          std::chrono::steady_clock::now() - start;
      if (i >= 0) times[static_cast<std::size_t>(stage)].push_back(elapsed.count());
    }
  }
  std::vector<double> medians;
  for (const std::vector<double>& of_exit : times) medians.push_back(quantile(of_exit, 0.5));
  return medians;
}

}  // namespace

void evaluate_anytime(const EvalRun& run) {
  const EvalOptions& options = run.options;
  const ImageSelection images =
      select_images(options.part, run.data, options.data, run.checkpoint, options.split_given());
  const AnytimeAccuracy accuracy =
      evaluate(run.runtime, run.network, options.precision.activations(), *images.set,
               images.indices, run.description, options.batch_size)
          .counts.accuracy();
  const std::vector<double> ms = measure_ms(run, images);
  const std::vector<ExitCost> costs = exit_costs(run.network.architecture());

  Report report({{"exit", "exit", show_integer},
                 {"mul_adds", "mul-adds", show_count},
                 {"mul_adds_lazy", "lazy", show_count},
                 {"ops", "ops", show_count},
                 {"params", "params", show_count},
                 {"top1", "top-1 %", show_percent},
                 {"top5", "top-5 %", show_percent},
                 {"ensemble_top1", "ens. top-1 %", show_percent},
                 {"ensemble_top5", "ens. top-5 %", show_percent},
                 {"ms", "ms", [](const ReportValue& value) { return fixed(value.number(), 3); }}});
  for (std::size_t exit = 0; exit < costs.size(); ++exit) {
    const ExitCost& cost = costs[exit];
    report.add_row({exit + 1, cost.mul_adds, cost.mul_adds_lazy, cost.ops, cost.params,
                    accuracy.top1[exit], accuracy.top5[exit], accuracy.ensemble_top1[exit],
                    accuracy.ensemble_top5[exit],
                    ms.empty() ? std::nullopt : std::optional(ms[exit])});
  }
  const auto timed =
      std::min(options.time_images, static_cast<std::int64_t>(images.indices.size()));
  const ordered_json json = {
      {"mode", "anytime"},
      {"model", run.checkpoint.fingerprint},
      {"checkpoint", run.checkpoint.path.string()},
      {"config", nlohmann::json(run.network.config())},
      {"evaluated_on",
       {{"dataset", run.data.name}, {"part", images.part}, {"samples", images.indices.size()}}},
      {"timing", {{"images", timed}, {"batch", 1}, {"threads", 1}}},
      {"exits", report.json()}};

  std::string above =
      message("each exit on the ", images.indices.size(), " ", images.part, " images of ",
              run.data.name, "; ens.: mean softmax of the exits so far");
  if (timed > 0) above += message("; ms: median of ", timed, " images at batch 1, one thread");
  publish({.stem = "anytime",
           .rows = report,
           .json = json,
           .above = above + "\n",
           .below = "",
           .beside_csv = ""},
          options.output, options.format());
}

}  // namespace msd
