// SPDX-License-Identifier: MIT
#include "apps/eval/eval.h"

#include <iostream>

#include "apps/common/evaluate.h"
#include "apps/eval/anytime.h"
#include "apps/eval/budget.h"

namespace msd {
namespace {

// Before the work: what could not be written, or would replace what is read.
void check_outputs(const EvalOptions& options) {
  std::vector<NamedFile> others = {{"--weights", options.weights},
                                   {"--split", options.data.split_path()}};
  if (options.mode == "budget") {
    check_output({"--thresholds", options.thresholds_path()}, others);
    others.push_back({"--thresholds", options.thresholds_path()});
  }
  check_report_output(options.output, options.mode, options.format(), others);
}

}  // namespace

void eval(EvalOptions& options) {
  check_outputs(options);
  const Checkpoint checkpoint = read_weights(options.weights);
  const std::unique_ptr<Runtime> runtime = options.runtime.make();
  options.precision.apply(*runtime);
  const auto [description, note] =
      choose_description(checkpoint, options.model, options.preprocessing, options.data);
  const Dataset data = load_dataset(*runtime, checkpoint, description, options.data);
  options.preprocessing.require_effect_on(data.name);
  const Network network = load_network(*runtime, checkpoint, options.model, data.classes(),
                                       options.precision.parameters());
  require_fit(network.config(), data);
  tell_network(checkpoint, options.model, data.classes());
  const EvalRun run{*runtime, options, checkpoint, network, data, description};
  if (options.mode == "budget") {
    evaluate_budgets(run);
  } else {
    evaluate_anytime(run);
  }
  require_printed();
  if (!note.empty()) std::cerr << "msd-eval: " << note << '\n';
}

}  // namespace msd
