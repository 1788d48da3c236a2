// SPDX-License-Identifier: MIT
// What another project does with the installed package: a preset's network, every exit of one
// image.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "data/synthetic.h"
#include "models/inference/plan.h"

int main() {
  const msd::Dataset data = msd::make_synthetic({.seed = 1, .train = 1, .test = 1});
  msd::Runtime runtime(/*threads=*/1);
  msd::Network network(msd::preset("cifar10-tiny"), runtime.allocator());
  network.initialize(/*seed=*/1);
  const msd::Plan plan(runtime, network);
  msd::PlanSession session(runtime, plan, /*batch=*/1);
  const msd::View input = session.input();
  for (std::int64_t i = 0; i < input.rows() * input.c; ++i) {
    const float pixel =
        static_cast<float>(data.test.image(0)[static_cast<std::size_t>(i)]) / 128.0f;
    input.as<float>()[i / input.c * input.pitch + i % input.c] = pixel - 1.0f;
  }
  for (std::int64_t stage = 0; stage < plan.stages(); ++stage) {
    const msd::View logits = session.run_stage(stage);
    const float* first = logits.as<float>();
    const float* best = std::max_element(first, first + logits.c);
    double sum = 0.0;
    for (std::int64_t c = 0; c < logits.c; ++c) sum += std::exp(first[c] - *best);
    std::printf("exit %d: logits [%d,%d,%d,%d], the image is %s with confidence %.3f\n",
                static_cast<int>(stage + 1), static_cast<int>(logits.n), static_cast<int>(logits.h),
                static_cast<int>(logits.w), static_cast<int>(logits.c),
                data.class_names[static_cast<std::size_t>(best - first)].c_str(), 1.0 / sum);
  }
}
