// SPDX-License-Identifier: MIT
#include "apps/infer/infer.h"

#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/common/evaluate.h"
#include "apps/infer/chosen_rule.h"
#include "apps/infer/output.h"
#include "apps/infer/runner.h"
#include "apps/infer/tensors.h"
#include "kernels/check.h"
#include "models/exits/exit_decision.h"
#include "models/network/cost.h"

namespace msd {
namespace {

constexpr std::int64_t kMostRows = 50;  // without --verbose

struct Inputs {
  std::optional<Dataset> data;  // where the images are a data set's
  DataDescription description;
};

Inputs load_inputs(Runtime& runtime, const Checkpoint& checkpoint, InferOptions& options) {
  Inputs inputs;
  if (options.from_dataset()) {
    inputs.data = load_dataset(runtime, checkpoint, options.model, options.data);
    inputs.description = data_description(checkpoint, *inputs.data);
  } else if (checkpoint.data) {
    inputs.description = *checkpoint.data;
  } else if (options.tensors.empty()) {
    throw ConfigError(
        message(checkpoint.path.string(),
                " does not say the mean and deviation its images are normalised "
                "with; name its data with --dataset, or use a checkpoint of msd-train"));
  }
  return inputs;
}

std::unique_ptr<Samples> make_samples(const Inputs& inputs, const Checkpoint& checkpoint,
                                      const InferOptions& options, const MsdnetConfig& config) {
  if (!inputs.data) return file_samples(options.inputs, options.limit, config);
  require_fit(config, *inputs.data);
  return dataset_samples(
      select_images(options.part, *inputs.data, options.data, checkpoint, options.given("--split")),
      options.limit);
}

}  // namespace

void infer(InferOptions& options) {
  const Checkpoint checkpoint = read_checkpoint(options.weights);
  const std::unique_ptr<Runtime> runtime = options.runtime.make();
  options.precision.apply(*runtime);
  const Inputs inputs = load_inputs(*runtime, checkpoint, options);
  const auto classes = inputs.data ? std::optional(inputs.data->classes()) : std::nullopt;
  const Network network =
      load_network(*runtime, checkpoint, options.model, classes, options.precision.parameters());
  const ChosenRule chosen = choose_exit_rule(options, checkpoint, network.config());
  const std::vector<std::int64_t> exits = exits_that_run(chosen.rule, network.config().blocks);
  if (!options.tensors.empty()) {
    tell_network(checkpoint, options.model, classes);
    infer_tensors(*runtime, network, options, exits);
    return;
  }

  const std::unique_ptr<Samples> samples =
      make_samples(inputs, checkpoint, options, network.config());
  tell_network(checkpoint, options.model, classes);
  const bool rows = options.verbose || samples->size() <= kMostRows;
  SamplePrinter printer(options.json ? SamplePrinter::Style::json
                        : rows       ? SamplePrinter::Style::table
                                     : SamplePrinter::Style::none,
                        inputs.description.class_names);
  const Plan plan(*runtime, network, exits, options.precision.activations());
  const auto make_runtime = [&] {
    auto own = std::make_unique<Runtime>(1, runtime->device());
    options.precision.apply(*own);
    options.runtime.apply(*own);
    return own;
  };
  const RunSettings settings = {chosen.rule, inputs.description, options.top, runtime->threads(),
                                make_runtime};
  const auto* deadline = std::get_if<Deadline>(&chosen.rule);
  Summary summary(network.architecture().exits(), deadline ? deadline->microseconds : 0.0);
  const auto start = std::chrono::steady_clock::now();
  run_samples(plan, *samples, settings, [&](std::int64_t i, const Classification& result) {
    summary.add(result, samples->label(i));
    printer.print(samples->name(i), result, samples->label(i));
  });
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  const std::int64_t full = exit_costs(network.architecture()).back().mul_adds_lazy;
  printer.finish();
  if (options.json) {
    nlohmann::ordered_json json = summary.json(seconds, full);
    json["threads"] = settings.workers;
    json["rule"] = exit_rule_json(options, chosen);
    if (options.model.any_given()) {
      json["network"] = choose_network(checkpoint, options.model, classes).json();
    }
    std::cout << nlohmann::ordered_json{{"summary", json}}.dump() << '\n';
  } else {
    std::cout << summary.text(seconds, full);
  }
  if (!std::cout.flush()) throw IoError("cannot write the results to stdout; is the disk full?");
}

}  // namespace msd
