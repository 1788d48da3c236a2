// SPDX-License-Identifier: MIT
// Training the reference network H: gradients and steps of the public PyTorch implementation,
// computed in double. Skipped where the reference folder is absent.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/files/safetensors.h"
#include "models/weights/checkpoint.h"
#include "tests/models/device.h"
#include "tests/models/networks.h"

namespace msd {
namespace {

using test::Differences;
using test::Tensors;

// PyTorch's own float agrees with its double to about 1e-6 of each tensor's largest value, after
// steps to less; measured here 2e-6 at most. Double against double: rounding, measured 2e-13.
double tolerance_of(DType dtype) { return dtype == DType::f64 ? 1e-9 : 1e-4; }

Tensors reference(const std::string& name) {
  return read_safetensors(test::reference_file(name)).tensors;
}

class TrainingReference : public testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    MSD_NEED_REFERENCE("H_state.safetensors", "H_train_grad_f64.safetensors",
                       "H_train_1step_f64.safetensors", "H_train_3steps_lr0.01_f64.safetensors",
                       "H_train_4th_step_f64.safetensors");
    gradients_ = reference("H_train_grad_f64.safetensors");
    batch_.images = test::doubles(gradients_.at("input"));
    for (const double label : test::doubles(gradients_.at("labels"))) {
      batch_.labels.push_back(static_cast<std::int32_t>(label));
    }
  }

  Network load(const std::string& name) {
    return test::load_network(test::reference_config('H'), reference(name), runtime_.allocator(),
                              GetParam());
  }

  void expect_state(const Network& network, const std::string& file) {
    Tensors expected = reference(file);
    expected.erase("loss");
    expected.erase("losses_so_far");
    const Tensors state = test::state_of(network);
    ASSERT_EQ(state.size(), expected.size());
    Differences differences;
    for (const auto& [name, tensor] : expected) {
      ASSERT_TRUE(state.contains(name)) << name;
      differences.add(name, test::doubles(state.at(name)), test::doubles(tensor));
    }
    EXPECT_TRUE(differences.within(tolerance_of(GetParam())));
    differences.record(file);
  }

  Runtime runtime_{1, test::device()};
  Tensors gradients_;
  test::Batch batch_;
};

INSTANTIATE_TEST_SUITE_P(H, TrainingReference, testing::ValuesIn(test::device_dtypes()),
                         [](const auto& test) { return std::string(name(test.param)); });

TEST_P(TrainingReference, LossesLogitsAndGradients) {
  Network network = load("H_state.safetensors");
  TrainingGraph graph(runtime_, network, batch_.size(), {1.0, 1.0, 1.0});
  test::put_batch(graph, batch_);
  graph.run();
  Differences values, gradients;
  values.add("loss", {graph.loss()}, test::doubles(gradients_.at("loss")));
  values.add("losses", {graph.loss(0), graph.loss(1), graph.loss(2)},
             test::doubles(gradients_.at("losses")));
  for (std::int64_t k = 0; k < 3; ++k) {
    const std::string logits = "logits" + std::to_string(k + 1);
    values.add(logits, test::doubles(host_copy(runtime_.allocator(), graph.logits(k)).view()),
               test::doubles(gradients_.at(logits)));
  }
  EXPECT_TRUE(values.within(GetParam() == DType::f64 ? 1e-9 : 1e-5));
  values.record("values");

  const Tensors actual = test::gradients_of(network.parameters(), "grad/");
  std::size_t expected = 0;
  for (const auto& [name, tensor] : gradients_) {
    if (!name.starts_with("grad/")) continue;
    ++expected;
    ASSERT_TRUE(actual.contains(name)) << name;
    EXPECT_EQ(actual.at(name).shape(), tensor.shape()) << name;
    gradients.add(name, test::doubles(actual.at(name)), test::doubles(tensor));
  }
  EXPECT_EQ(actual.size(), expected);
  EXPECT_TRUE(gradients.within(tolerance_of(GetParam())));
  gradients.record("gradients");
}

TEST_P(TrainingReference, OneStep) {
  Network network = load("H_state.safetensors");
  test::train(runtime_, network, batch_, 1, 0.1);
  expect_state(network, "H_train_1step_f64.safetensors");
}

TEST_P(TrainingReference, ThreeSteps) {
  Network network = load("H_state.safetensors");
  test::train(runtime_, network, batch_, 3, 0.01);
  expect_state(network, "H_train_3steps_lr0.01_f64.safetensors");
}

// Velocities of another program: a checkpoint of PyTorch's after three steps, without Nesterov.
TEST_P(TrainingReference, AFourthStepFromItsCheckpoint) {
  MSD_NEED_REFERENCE("H_checkpoint_3steps.pth.tar");
  const Checkpoint checkpoint =
      read_checkpoint(test::reference_file("H_checkpoint_3steps.pth.tar"));
  Network network(test::reference_config('H'), runtime_.allocator(), GetParam());
  checkpoint.load_weights(network);
  checkpoint.load_velocities(network);
  ASSERT_TRUE(checkpoint.state.optimizer.has_value());
  const OptimizerSettings& settings = *checkpoint.state.optimizer;
  EXPECT_EQ(settings, (OptimizerSettings{0.1, 0.9, 0.0, 1e-4, false}));
  test::train(runtime_, network, batch_, 1, settings.lr,
              {settings.momentum, settings.nesterov, settings.weight_decay});
  expect_state(network, "H_train_4th_step_f64.safetensors");
}

}  // namespace
}  // namespace msd
