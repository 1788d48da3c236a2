// SPDX-License-Identifier: MIT
#include "models/inference/evaluator.h"

namespace msd {

Evaluator::Evaluator(Runtime& runtime, const Plan& plan, std::int64_t batch)
    : runtime_(runtime),
      session_(runtime, plan, batch),
      counter_(runtime, plan.stages(), plan.architecture().config.classes, batch, plan.dtype()),
      counts_(plan.stages()) {
  MSD_CHECK(plan.stages() == plan.architecture().exits(), "an evaluator needs every exit's stage");
  records_.exits = plan.stages();
}

View Evaluator::input(std::int64_t n) const {
  MSD_CHECK(n <= session_.batch(), n, " images for an evaluator of batch ", session_.batch());
  View view = session_.input();
  view.n = n;
  return view;
}

void Evaluator::add(const ConstView& images, const std::int32_t* labels) {
  const CopyArgs to_input = {images, input(images.n)};
  msd::copy(runtime_.context(), {&to_input, 1});
  run(labels, images.n);
}

// A short batch leaves anything in the session's last images; nobody looks at their results.
void Evaluator::run(const std::int32_t* labels, std::int64_t n) {
  counter_.begin(labels, n);
  for (std::int64_t exit = 0; exit < records_.exits; ++exit) {
    View logits = session_.run_stage(exit);
    logits.n = n;
    counter_.add(logits, counts_, &records_);
  }
}

}  // namespace msd
