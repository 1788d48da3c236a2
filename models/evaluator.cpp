// SPDX-License-Identifier: MIT
#include "models/evaluator.h"

namespace msd {

Evaluator::Evaluator(Runtime& runtime, const Plan& plan, std::int64_t batch)
    : runtime_(runtime),
      session_(runtime, plan, batch),
      recorder_(runtime, plan.stages(), plan.architecture().config.classes, batch, plan.dtype()),
      counts_(plan.stages()) {
  MSD_CHECK(plan.stages() == plan.architecture().exits(), "an evaluator needs every exit's stage");
  records_.exits = plan.stages();
}

void Evaluator::add(const ConstView& images, const std::int32_t* labels) {
  MSD_CHECK(images.n <= session_.batch(), images.n, " images for an evaluator of batch ",
            session_.batch());
  const auto first_images = [&](View view) {
    view.n = images.n;
    return view;
  };
  // A short batch leaves anything in the session's last images; nobody looks at their results.
  const CopyArgs to_input = {images, first_images(session_.input())};
  msd::copy(runtime_.context(), {&to_input, 1});
  recorder_.begin(labels, images.n);
  for (std::int64_t exit = 0; exit < records_.exits; ++exit) {
    recorder_.add(first_images(session_.run_stage(exit)), counts_, &records_);
  }
}

}  // namespace msd
