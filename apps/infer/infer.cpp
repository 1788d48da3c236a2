// SPDX-License-Identifier: MIT
#include "apps/infer/infer.h"

#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/common/evaluate.h"
#include "apps/common/output_file.h"
#include "apps/common/stop.h"
#include "apps/infer/chosen_rule.h"
#include "apps/infer/output.h"
#include "apps/infer/runner.h"
#include "apps/infer/tensors.h"
#include "engine/files/json_text.h"
#include "kernels/check.h"
#include "models/exits/exit_decision.h"
#include "models/network/cost.h"

namespace msd {
namespace {

constexpr std::int64_t kMostRows = 50;  // without --verbose

struct Inputs {
  std::optional<Dataset> data;  // where the images are a data set's
  DataDescription description;
  std::string note;  // for people, of the description
};

Inputs load_inputs(Runtime& runtime, const Checkpoint& checkpoint, InferOptions& options) {
  Inputs inputs;
  if (!options.tensors.empty()) return inputs;
  ChosenDescription chosen =
      choose_description(checkpoint, options.model, options.preprocessing, options.data);
  inputs.description = std::move(chosen.data);
  inputs.note = std::move(chosen.note);
  if (!options.from_dataset()) return inputs;
  inputs.data = load_dataset(runtime, checkpoint, inputs.description, options.data);
  options.preprocessing.require_effect_on(inputs.data->name);
  std::vector<std::string>& names = inputs.description.class_names;
  if (names.empty()) names = inputs.data->class_names;
  return inputs;
}

std::unique_ptr<Samples> make_samples(const Inputs& inputs, const Checkpoint& checkpoint,
                                      const InferOptions& options, const MsdnetConfig& config) {
  if (!inputs.data) {
    return file_samples(options.inputs, options.limit, inputs.description.preprocessing.fit);
  }
  require_fit(config, *inputs.data);
  return dataset_samples(
      select_images(options.part, *inputs.data, options.data, checkpoint, options.given("--split")),
      options.limit);
}

}  // namespace

int infer(InferOptions& options) {
  check_output({"--logits", options.logits},
               {{"--tensors", options.tensors}, {"--weights", options.weights}});
  const Checkpoint checkpoint = read_weights(options.weights);
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
    return 0;
  }

  const std::unique_ptr<Samples> samples =
      make_samples(inputs, checkpoint, options, network.config());
  if (!inputs.note.empty()) std::cerr << "msd-infer: " << inputs.note << '\n';
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
  const RunSettings settings = {chosen.rule,        inputs.description, options.top,
                                runtime->threads(), make_runtime,       StopSignals::finish()};
  const auto* deadline = std::get_if<Deadline>(&chosen.rule);
  Summary summary(network.architecture().exits(), deadline ? deadline->microseconds : 0.0);
  std::string first_error;
  const auto start = std::chrono::steady_clock::now();
  const std::int64_t done =
      run_samples(plan, *samples, settings, [&](std::int64_t i, const SampleResult& result) {
        if (result.error.empty()) {
          summary.add(result.answer, samples->label(i));
          printer.print(samples->name(i), result.answer, samples->label(i));
        } else {
          summary.add_failed();
          printer.print_failed(samples->name(i), result.error);
          if (first_error.empty()) {
            const std::string name = one_line(text_of_input(samples->name(i)));
            const bool named = result.error.find(name) != std::string::npos;
            first_error = named ? result.error : name + ": " + result.error;
          }
        }
      });
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  const std::int64_t full = exit_costs(network.architecture()).back().mul_adds_lazy;
  printer.finish();
  if (done == 0) {
    // Stopped before the first: there is nothing to sum up.
  } else if (options.json) {
    nlohmann::ordered_json json = summary.json(seconds, full);
    json["threads"] = settings.workers;
    json["rule"] = exit_rule_json(options, chosen);
    if (options.model.any_given()) {
      json["network"] = choose_network(checkpoint, options.model, classes).json();
    }
    std::cout << printed_json({{"summary", json}}) << '\n';
  } else {
    std::cout << summary.text(seconds, full);
  }
  require_printed();
  if (done < samples->size()) {
    std::cerr << "msd-infer: stopped after " << done << " of " << samples->size() << " images\n";
    return kStoppedExitCode;
  }
  if (summary.failed() > 0 && samples->size() == 1) throw IoError(first_error);
  if (summary.failed() > 0) {
    throw IoError(message(summary.failed(), " of ", samples->size(),
                          " images could not be classified, the first: ", first_error));
  }
  return 0;
}

}  // namespace msd
