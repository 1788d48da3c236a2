// SPDX-License-Identifier: MIT
#include "apps/infer/infer.h"

#include <chrono>
#include <iostream>

#include "apps/common/evaluate.h"
#include "apps/infer/output.h"
#include "apps/infer/tensors.h"
#include "kernels/error.h"
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
  const ExitRule rule = make_exit_rule(options, checkpoint, network.config());
  if (!options.tensors.empty()) {
    infer_tensors(*runtime, network, options, rule);
    return;
  }

  const std::unique_ptr<Samples> samples =
      make_samples(inputs, checkpoint, options, network.config());
  const bool rows = options.verbose || samples->size() <= kMostRows;
  SamplePrinter printer(options.json ? SamplePrinter::Style::json
                        : rows       ? SamplePrinter::Style::table
                                     : SamplePrinter::Style::none,
                        inputs.description.class_names);
  const Plan plan(*runtime, network, rule.exits, options.precision.activations());
  const RunSettings settings = {rule,           inputs.description, options.precision,
                                options.top,    runtime->threads(), runtime->device(),
                                options.runtime};
  Summary summary(network.architecture().exits(), rule.deadline_us);
  const auto start = std::chrono::steady_clock::now();
  run_samples(plan, *samples, settings, [&](std::int64_t i, const SampleResult& result) {
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
    json["rule"] = rule.description;
    std::cout << nlohmann::ordered_json{{"summary", json}}.dump() << '\n';
  } else {
    std::cout << summary.text(seconds, full);
  }
  if (!std::cout.flush()) throw IoError("cannot write the results to stdout; is the disk full?");
}

}  // namespace msd
