// SPDX-License-Identifier: MIT
#include "apps/train/tensors.h"

#include <iostream>

#include "apps/common/model_file.h"
#include "apps/common/tensor_file.h"
#include "models/training/training_graph.h"
#include "models/weights/checkpoint.h"

namespace msd {

void train_on_tensors(const TrainOptions& options) {
  const Checkpoint checkpoint = read_weights(options.weights);
  const std::unique_ptr<Runtime> runtime = options.runtime.make();
  options.recipe.precision.apply(*runtime);
  Network network = load_network(*runtime, checkpoint, options.model, std::nullopt,
                                 options.recipe.precision.parameters());
  const Safetensors file = read_safetensors(options.tensors);
  const Tensor& input = require_tensor(file, options.tensors, "input");
  const Tensor& labels = require_tensor(file, options.tensors, "labels");
  const std::int64_t n = count_planar_images(input, network.config().image_size, options.tensors);
  if (n < smallest_batch(network.architecture())) {
    throw FormatError(message(options.tensors, ": `input` holds ", n,
                              " image, but the network ends ",
                              "in maps of 1x1, of which batch norm needs 2 images"));
  }
  if (labels.dtype() != DType::i64 || labels.elems() != n) {
    throw FormatError(message(options.tensors, ": `labels` is not I64 [", n, "]"));
  }
  std::vector<std::int32_t> classes;
  for (const std::int64_t label : labels.span<std::int64_t>()) {
    if (label < 0 || label >= network.config().classes) {
      throw FormatError(message(options.tensors, ": label ", label, " of image ", classes.size(),
                                " is outside 0..", network.config().classes - 1));
    }
    classes.push_back(static_cast<std::int32_t>(label));
  }
  TrainingGraph graph(*runtime, network, n,
                      options.recipe.exit_weights(network.architecture().exits()),
                      options.recipe.precision.activations());
  RecipeOptions recipe = options.recipe;
  if (options.optimizer_state) recipe.take_optimizer(checkpoint, network);
  Sgd sgd(*runtime, network.parameters(), recipe.sgd());
  sgd.set_lr(recipe.schedule().lr);
  graph.set_batch(channels_last(input).view(), classes.data());
  tell_network(checkpoint, options.model, std::nullopt);
  for (std::int64_t step = 0; step < options.steps; ++step) {
    graph.run();
    sgd.step();
    std::cout << "step " << step + 1 << "  loss " << graph.loss() << '\n';
  }
  write_safetensors(options.save_state, network.parameters().state());
}

}  // namespace msd
