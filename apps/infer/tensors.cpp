// SPDX-License-Identifier: MIT
#include "apps/infer/tensors.h"

#include <cstring>
#include <iostream>

#include "apps/common/tensor_file.h"
#include "models/plan.h"

namespace msd {

void infer_tensors(Runtime& runtime, const Network& network, const InferOptions& options,
                   const ExitRule& rule) {
  const Safetensors file = read_safetensors(options.tensors);
  const Tensor& input = require_tensor(file, options.tensors, "input");
  const MsdnetConfig& config = network.config();
  const std::int64_t n = count_planar_images(input, config.image_size, options.tensors);
  const Plan plan(runtime, network, rule.exits);
  // One by one: a sample's bits don't depend on its neighbours, and memory stays small.
  PlanSession session(runtime, plan, 1);
  std::vector<NamedTensor> logits;
  for (const std::int64_t exit : plan.exits()) {
    logits.push_back({"logits" + std::to_string(exit + 1),
                      Tensor::empty(runtime.allocator(), {n, config.classes}, plan.dtype())});
  }
  const std::int64_t row_bytes = config.classes * size_bytes(plan.dtype());
  for (std::int64_t i = 0; i < n; ++i) {
    copy_planar_images(input.slice(0, i, 1), session.input(), options.tensors);
    for (std::int64_t stage = 0; stage < plan.stages(); ++stage) {
      auto* to = static_cast<std::byte*>(logits[static_cast<std::size_t>(stage)].tensor.data());
      const View answer = session.run_stage(stage);
      std::memcpy(to + i * row_bytes, answer.data, static_cast<std::size_t>(row_bytes));
    }
  }
  write_safetensors(options.logits, logits);
  std::cerr << "wrote the logits of " << n << (n == 1 ? " image" : " images") << " to "
            << options.logits << '\n';
}

}  // namespace msd
