// SPDX-License-Identifier: MIT
// msd-eval: accuracy and cost of a network's exits, anytime or under a budget.
#include "apps/eval/eval.h"

int main(int argc, char** argv) {
  msd::CommandLine line(
      "Evaluates every exit of a network (anytime), or fits early-exit thresholds and evaluates "
      "them (budget).",
      "msd-eval");
  msd::EvalOptions options;
  options.add_to(line);
  return line.run(argc, argv, [&options] {
    msd::eval(options);
    return 0;
  });
}
