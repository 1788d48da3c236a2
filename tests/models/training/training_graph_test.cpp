// SPDX-License-Identifier: MIT
#include "models/training/training_graph.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tests/models/networks.h"
#include "tests/support/allocations.h"
#include "tests/support/allocators.h"
#include "tests/support/errors.h"

namespace msd {
namespace {

using test::Tensors;
using test::throws;

Tensors train_three_steps(int threads, Allocator* allocator, DType dtype = DType::f32) {
  Runtime runtime(threads);
  if (allocator != nullptr) runtime.set_allocator(*allocator);
  const MsdnetConfig& config = preset("cifar10-tiny");
  Network network(config, runtime.allocator(), dtype);
  network.initialize(11);
  test::train(runtime, network, test::random_batch(config, 5, 12), 3, 0.05);
  Tensors state = test::state_of(network);
  for (const NamedTensor& v : network.parameters().velocities_by_name("velocity/")) {
    state[v.name] = v.tensor;
  }
  return state;
}

TEST(TrainingGraph, TheSameSeedTrainsToTheSameBits) {
  const Tensors once = train_three_steps(1, nullptr);
  EXPECT_TRUE(test::identical(once, train_three_steps(1, nullptr)));
}

TEST(TrainingGraph, ThreadsDoNotChangeTheBits) {
  const Tensors one = train_three_steps(1, nullptr);
  for (const int threads : {2, 3}) {
    EXPECT_TRUE(test::identical(one, train_three_steps(threads, nullptr))) << threads;
  }
}

TEST(TrainingGraph, ReadsNoMemoryNobodyWrote) {
  SystemAllocator system;
  test::PoisonAllocator poison(system);
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Tensors state = train_three_steps(1, &poison, dtype);
    EXPECT_TRUE(test::identical(train_three_steps(1, nullptr, dtype), state));
    for (const auto& [name, tensor] : state) {
      for (const double value : test::doubles(tensor)) ASSERT_TRUE(std::isfinite(value)) << name;
    }
  }
}

TEST(TrainingGraph, AStepAllocatesNothing) {
  SystemAllocator system;
  test::StatisticsAllocator statistics(system);
  Runtime runtime(2);
  runtime.set_allocator(statistics);
  const MsdnetConfig& config = preset("cifar10-tiny");
  Network network(config, runtime.allocator());
  network.initialize(1);
  TrainingGraph graph(runtime, network, 4, {1.0, 1.0, 1.0});
  test::put_batch(graph, test::random_batch(config, 4, 2));
  Sgd sgd(runtime, network.parameters(), {});
  sgd.set_lr(0.1);
  const std::int64_t before = statistics.allocations();
  const long heap = test::heap_allocations();
  for (int step = 0; step < 2; ++step) {
    graph.run();
    sgd.step();
  }
  EXPECT_EQ(test::heap_allocations(), heap);
  EXPECT_EQ(statistics.allocations(), before);
  EXPECT_TRUE(std::isfinite(graph.loss()));
}

// A small network for what follows.
class TrainingGraphTest : public testing::Test {
 protected:
  test::Fixture fixture_{"cifar_even"};
  test::Batch batch_ = {fixture_.values("train/input"), fixture_.labels()};
  Runtime runtime_;

  Network load(DType dtype = DType::f64) {
    return test::load_network(fixture_.config(), fixture_.state(), runtime_.allocator(), dtype);
  }
  Tensors gradients(const std::vector<double>& weights) {
    Network network = load();
    TrainingGraph graph(runtime_, network, batch_.size(), weights);
    test::put_batch(graph, batch_);
    graph.run();
    return test::gradients_of(network.parameters());
  }
};

TEST_F(TrainingGraphTest, LossIsTheWeightedSum) {
  Network network = load();
  TrainingGraph graph(runtime_, network, batch_.size(), {0.25, 3.0});
  test::put_batch(graph, batch_);
  graph.run();
  EXPECT_EQ(graph.exits(), 2);
  EXPECT_NEAR(graph.loss(), 0.25 * graph.loss(0) + 3.0 * graph.loss(1), 1e-14);  // rounding
  EXPECT_GT(graph.loss(0), 0.0);
}

TEST_F(TrainingGraphTest, GradientsAreLinearInTheExitWeights) {
  const Tensors both = gradients({1.0, 1.0}), first = gradients({1.0, 0.0});
  const Tensors second = gradients({0.0, 1.0}), twice = gradients({2.0, 2.0});
  test::Differences sum;
  bool second_block = false;
  for (const auto& [name, tensor] : both) {
    const std::vector<double> a = test::doubles(first.at(name)), b = test::doubles(second.at(name));
    std::vector<double> expected, doubled = test::doubles(tensor);
    for (std::size_t i = 0; i < a.size(); ++i) expected.push_back(a[i] + b[i]);
    sum.add(name, doubled, expected);
    for (double& value : doubled) value *= 2;
    EXPECT_EQ(test::doubles(twice.at(name)), doubled) << name;  // a power of two changes no digit
    if (name.starts_with("blocks.1.") || name.starts_with("classifier.1.")) {
      EXPECT_EQ(a, std::vector<double>(a.size(), 0.0)) << name;
      second_block = true;
    }
  }
  EXPECT_TRUE(second_block);
  EXPECT_TRUE(sum.within(1e-12));  // two sums of a few thousand terms in another order
}

TEST_F(TrainingGraphTest, RunsAgainWithNewDataAsIfItWereFresh) {
  Network used = load(), fresh = load();
  const test::Batch other = test::random_batch(fixture_.config(), batch_.size(), 5);
  const std::vector<double> weights = {1.0, 1.0};
  TrainingGraph graph(runtime_, used, batch_.size(), weights);
  test::put_batch(graph, other);
  graph.run();
  used.parameters().load_state(fixture_.state(), "again");
  test::put_batch(graph, batch_);
  graph.run();
  TrainingGraph once(runtime_, fresh, batch_.size(), weights);
  test::put_batch(once, batch_);
  once.run();
  EXPECT_EQ(graph.loss(), once.loss());
  EXPECT_TRUE(test::identical(test::state_of(used), test::state_of(fresh)));
  EXPECT_TRUE(test::identical(test::gradients_of(used.parameters()),
                              test::gradients_of(fresh.parameters())));
}

TEST_F(TrainingGraphTest, GraphsOfTwoSizesShareANetwork) {
  Network shared = load(), alone = load();
  const std::vector<double> weights = {1.0, 1.0};
  const test::Batch large = test::random_batch(fixture_.config(), 4, 5);
  const test::Batch small = test::random_batch(fixture_.config(), 1, 6);
  TrainingGraph whole(runtime_, shared, 4, weights), last(runtime_, shared, 1, weights);
  Sgd sgd(runtime_, shared.parameters(), {});
  sgd.set_lr(0.1);
  for (TrainingGraph* graph : {&whole, &last}) {
    test::put_batch(*graph, graph == &whole ? large : small);
    graph->run();
    sgd.step();
  }
  test::train(runtime_, alone, large, 1, 0.1);
  test::train(runtime_, alone, small, 1, 0.1);
  EXPECT_TRUE(test::identical(test::state_of(shared), test::state_of(alone)));
}

// From the end of the flat gradient to its start, each element once and with its last value.
TEST_F(TrainingGraphTest, AnnouncesGradientsThatAreFinal) {
  Network network = load(DType::f32);
  TrainingGraph graph(runtime_, network, batch_.size(), {1.0, 1.0});
  test::put_batch(graph, batch_);
  graph.run();
  network.parameters().gradients().copy_from(
      Tensor::zeros(host_allocator(), {network.parameters().flat_elems()}, DType::f32));
  const auto gradient = network.parameters().gradients().span<float>();
  std::vector<float> announced(gradient.size());
  std::int64_t end = network.parameters().flat_elems(), ranges = 0;
  graph.run_ops([&](std::int64_t first, std::int64_t last) {
    EXPECT_EQ(last, end);
    EXPECT_LT(first, last);
    std::copy(gradient.begin() + first, gradient.begin() + last, announced.begin() + first);
    end = first;
    ++ranges;
  });
  EXPECT_EQ(end, 0);
  EXPECT_GT(ranges, 10);  // layer by layer, not all at once
  EXPECT_TRUE(std::equal(gradient.begin(), gradient.end(), announced.begin()));
}

TEST_F(TrainingGraphTest, InputLabelsAndLogitsHaveTheirShapes) {
  Network network = load(DType::f32);
  TrainingGraph graph(runtime_, network, 3, {1.0, 1.0});
  EXPECT_EQ(graph.batch(), 3);
  const View input = graph.input();
  EXPECT_TRUE(input.n == 3 && input.h == 32 && input.w == 32 && input.c == 3);
  EXPECT_EQ(input.dtype, DType::f32);
  test::put_batch(graph, batch_);
  graph.run();
  for (std::int64_t exit = 0; exit < 2; ++exit) {
    const View logits = graph.logits(exit);
    EXPECT_TRUE(logits.n == 3 && logits.h == 1 && logits.w == 1 && logits.c == 5);
  }
  EXPECT_GT(graph.arena_bytes(), 0);
}

TEST_F(TrainingGraphTest, RefusesWhatCannotWork) {
  Network network = load();
  const auto make = [&](std::int64_t batch, std::vector<double> weights) {
    return [&network, this, batch, weights] { TrainingGraph(runtime_, network, batch, weights); };
  };
  EXPECT_TRUE(throws<ConfigError>(make(0, {1.0, 1.0}), {"batch-size"}));
  EXPECT_TRUE(throws<ConfigError>(make(-2, {1.0, 1.0}), {"batch-size"}));
  EXPECT_TRUE(throws<ConfigError>(make(2, {1.0}), {"exit-weights"}));
  EXPECT_TRUE(throws<ConfigError>(make(2, {1.0, 1.0, 1.0}), {"exit-weights"}));
}

TEST_F(TrainingGraphTest, BatchNormNeedsTwoValues) {
  // ImageNet's exits end in maps of 1x1 at 64 pixels.
  const test::Fixture imagenet("no_transitions");
  Network network(imagenet.config(), runtime_.allocator());
  EXPECT_TRUE(throws<ConfigError>(
      [&] {
        TrainingGraph(runtime_, network, 1, {1.0, 1.0});
      },
      {"batch-size"}));
  TrainingGraph(runtime_, network, 2, {1.0, 1.0});
}

TEST_F(TrainingGraphTest, LabelsOutOfRangeAreRefused) {
  Network network = load();
  TrainingGraph graph(runtime_, network, 3, {1.0, 1.0});
  test::put_batch(graph, batch_);
  for (const std::int32_t bad : {-1, 5, 1000}) {
    graph.labels()[1] = bad;
    EXPECT_TRUE(throws<ShapeError>([&] { graph.run(); }, {"1"})) << bad;
  }
}

TEST_F(TrainingGraphTest, TakesOneArenaOfTheSizeItTells) {
  Network network(preset("cifar10-tiny"), runtime_.allocator());
  const TrainingGraph graph(runtime_, network, 8, {1.0, 1.0, 1.0});
  SystemAllocator system;
  test::LimitAllocator limit(system, graph.arena_bytes());
  Runtime limited;
  limited.set_allocator(limit);
  const TrainingGraph fits(limited, network, 8, {1.0, 1.0, 1.0});
  test::LimitAllocator less(system, graph.arena_bytes() - 1);
  limited.set_allocator(less);
  EXPECT_TRUE(throws<OutOfMemory>(
      [&] {
        const TrainingGraph too_large(limited, network, 8, {1.0, 1.0, 1.0});
      },
      {"limit"}));
}

}  // namespace
}  // namespace msd
