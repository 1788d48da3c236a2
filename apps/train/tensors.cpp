// SPDX-License-Identifier: MIT
#include <iostream>

#include "apps/common/model_file.h"
#include "apps/common/tensor_file.h"
#include "apps/train/command.h"
#include "models/training/training_graph.h"
#include "models/weights/checkpoint.h"

namespace msd {

int train_on_tensors(const TrainCommand& command) {
  const Checkpoint checkpoint = read_checkpoint(command.weights);
  const std::unique_ptr<Runtime> runtime = command.runtime.make();
  command.training.precision.apply(*runtime);
  Network network = load_network(*runtime, checkpoint, command.model, std::nullopt,
                                 command.training.precision.parameters());
  const Safetensors file = read_safetensors(command.tensors);
  const Tensor& input = require_tensor(file, command.tensors, "input");
  const Tensor& labels = require_tensor(file, command.tensors, "labels");
  const std::int64_t n = count_planar_images(input, network.config().image_size, command.tensors);
  if (labels.dtype() != DType::i64 || labels.elems() != n) {
    throw FormatError(message(command.tensors, ": `labels` is not I64 [", n, "]"));
  }
  std::vector<std::int32_t> classes;
  for (const std::int64_t label : labels.span<std::int64_t>()) {
    if (label < 0 || label >= network.config().classes) {
      throw FormatError(message(command.tensors, ": label ", label, " of image ", classes.size(),
                                " is outside 0..", network.config().classes - 1));
    }
    classes.push_back(static_cast<std::int32_t>(label));
  }
  TrainingGraph graph(*runtime, network, n,
                      command.training.exit_weights(network.architecture().exits()),
                      command.training.precision.activations());
  TrainingOptions training = command.training;
  if (command.optimizer_state) take_optimizer(checkpoint, network, training);
  Sgd sgd(*runtime, network.parameters(), training.sgd());
  sgd.set_lr(training.schedule().lr);
  graph.set_batch(channels_last(input).view(), classes.data());
  for (std::int64_t step = 0; step < command.steps; ++step) {
    graph.run();
    sgd.step();
    std::cout << "step " << step + 1 << "  loss " << graph.loss() << '\n';
  }
  write_safetensors(command.save_state, network.parameters().state());
  return 0;
}

}  // namespace msd
