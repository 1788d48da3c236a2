// SPDX-License-Identifier: MIT
// msd-eval: accuracy and cost of a network's exits, anytime or under a budget.
#include <iostream>

#include "apps/common/evaluate.h"
#include "apps/eval/eval_options.h"
#include "apps/eval/modes.h"

int main(int argc, char** argv) {
  msd::CommandLine line(
      "Evaluates every exit of a network (anytime), or fits early-exit thresholds and evaluates "
      "them (budget).",
      "msd-eval");
  msd::EvalOptions options;
  options.add_to(line);
  return line.run(argc, argv, [&options] {
    const msd::Checkpoint checkpoint = msd::read_checkpoint(options.weights);
    const std::unique_ptr<msd::Runtime> runtime = options.runtime.make();
    options.precision.apply(*runtime);
    const msd::Dataset data = msd::load_dataset(*runtime, checkpoint, options.model, options.data);
    const msd::Network network = msd::load_network(*runtime, checkpoint, options.model,
                                                   data.classes(), options.precision.parameters());
    msd::require_fit(network.config(), data);
    const msd::DataDescription description = msd::description_of(checkpoint, data);
    const msd::EvalRun run{*runtime, options, checkpoint, network, data, description};
    if (options.mode == "budget") {
      msd::evaluate_budgets(run);
    } else {
      msd::evaluate_anytime(run);
    }
    if (!std::cout.flush()) throw msd::IoError("cannot write the results to stdout");
    return 0;
  });
}
