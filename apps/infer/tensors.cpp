// SPDX-License-Identifier: MIT
#include "apps/infer/tensors.h"

#include <iostream>

#include "apps/common/tensor_file.h"
#include "models/inference/plan.h"

namespace msd {

void infer_tensors(Runtime& runtime, const Network& network, const InferOptions& options,
                   const std::vector<std::int64_t>& exits) {
  const Safetensors file = read_safetensors(options.tensors);
  const Tensor& input = require_tensor(file, options.tensors, "input");
  const MsdnetConfig& config = network.config();
  const std::int64_t n = count_planar_images(input, config.image_size, options.tensors);
  const Plan plan(runtime, network, exits, options.precision.activations());
  // One by one: a sample's bits don't depend on its neighbours, and memory stays small.
  PlanSession session(runtime, plan, 1);
  std::vector<NamedTensor> logits;
  for (const std::int64_t exit : plan.exits()) {
    logits.push_back({"logits" + std::to_string(exit + 1),
                      Tensor::empty(host_allocator(), {n, config.classes}, network.dtype())});
  }
  for (std::int64_t i = 0; i < n; ++i) {
    session.set_input(channels_last(input.slice(0, i, 1)).view());
    for (std::int64_t stage = 0; stage < plan.stages(); ++stage) {
      const Tensor answer = host_copy(runtime.allocator(), session.run_stage(stage));
      for (std::int64_t c = 0; c < config.classes; ++c) {
        store_element(logits[static_cast<std::size_t>(stage)].tensor.data(), network.dtype(),
                      i * config.classes + c, load_element(answer.data(), answer.dtype(), c));
      }
    }
  }
  write_safetensors(options.logits, logits);
  std::cerr << "wrote the logits of " << n << (n == 1 ? " image" : " images") << " to "
            << options.logits << '\n';
}

}  // namespace msd
