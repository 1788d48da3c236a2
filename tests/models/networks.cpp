// SPDX-License-Identifier: MIT
#include "tests/models/networks.h"

#include <algorithm>

#include "engine/random.h"

namespace msd::test {

void randomize(Network& network, std::uint64_t seed) {
  network.initialize(seed, Initialization::he_fan_in);
  Tensors state = state_of(network);
  std::uint64_t stream = 0;
  for (auto& [name, tensor] : state) {
    RandomStream random(seed, RandomPurpose::test, ++stream);
    if (tensor.dtype() == DType::i64) {
      tensor.span<std::int64_t>()[0] = 1 + random.below(1000);
      continue;
    }
    if (tensor.dim() != 1) continue;  // convolutions and linear layers are random already
    const bool around_one = name.ends_with(".weight") || name.ends_with(".running_var");
    std::vector<double> values(static_cast<std::size_t>(tensor.elems()));
    for (double& value : values) value = random.uniform(-0.5, 0.5) + (around_one ? 1.0 : 0.0);
    tensor = make_tensor(tensor.shape(), values, tensor.dtype());
  }
  network.parameters().load_state(state, "randomize");
}

Network load_network(const MsdnetConfig& config, const Tensors& state, Allocator& allocator,
                     DType dtype) {
  Network network(config, allocator, dtype);
  network.parameters().load_state(state, "load_network");
  return network;
}

std::vector<double> random_images(std::int64_t images, std::int64_t size, std::uint64_t seed) {
  RandomStream random(seed, RandomPurpose::test);
  std::vector<double> values(static_cast<std::size_t>(images * 3 * size * size));
  for (double& value : values) value = random.uniform(-2.0, 2.0);
  return values;
}

Batch random_batch(const MsdnetConfig& config, std::int64_t size, std::uint64_t seed) {
  Batch batch;
  batch.images = random_images(size, config.image_size, seed);
  RandomStream random(seed, RandomPurpose::test, 1);
  for (std::int64_t i = 0; i < size; ++i) {
    batch.labels.push_back(static_cast<std::int32_t>(random.below(config.classes)));
  }
  return batch;
}

void put_batch(TrainingGraph& graph, const Batch& batch) {
  const View input = graph.input();
  const Tensor images = Tensor::activation(host_allocator(), input.n, input.h, input.w, input.c,
                                           accumulator_of(input.dtype));
  put_images(images.view(), batch.images);
  graph.set_batch(images.view(), batch.labels.data());
}

void train(Runtime& runtime, Network& network, const Batch& batch, int steps, double lr,
           SgdOptions options) {
  const auto exits = static_cast<std::size_t>(network.architecture().exits());
  TrainingGraph graph(runtime, network, batch.size(), std::vector<double>(exits, 1.0));
  put_batch(graph, batch);
  Sgd sgd(runtime, network.parameters(), options);
  sgd.set_lr(lr);
  for (int step = 0; step < steps; ++step) {
    graph.run();
    sgd.step();
  }
}

Tensors state_of(const Network& network) { return by_name(network.parameters().state()); }

}  // namespace msd::test
