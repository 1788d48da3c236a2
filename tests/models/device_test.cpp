// SPDX-License-Identifier: MIT
// Training and inference on a CUDA device, emulated or real, against the same on the CPU.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "data/batch_feed.h"
#include "models/inference/evaluator.h"
#include "models/training/training_step.h"
#include "tests/models/device.h"
#include "tests/models/networks.h"
#include "tests/support/errors.h"

namespace msd {
namespace {

using test::Differences;
using test::Fixture;
using test::Tensors;
using test::throws;

constexpr std::int64_t kBatch = 3;

/// What some steps leave behind.
struct Trained {
  Tensors state, velocities;
  ExitCounts counts;
  double loss = 0.0;
};

class DeviceTest : public testing::Test {
 protected:
  Trained train(Runtime& runtime, DType activations, int steps) {
    Network network =
        test::load_network(fixture_.config(), fixture_.state(), runtime.allocator(), DType::f32);
    Sgd sgd(runtime, network.parameters(), {});
    DeviceExitCounter counter(runtime, exits_, classes_, kBatch, activations);
    TrainingStep step(runtime, network, kBatch,
                      std::vector<double>(static_cast<std::size_t>(exits_), 1.0), activations, sgd,
                      counter);
    for (int i = 0; i < steps; ++i) {
      test::put_batch(step.graph(), batches_[static_cast<std::size_t>(i)]);
      sgd.set_lr(0.1 / (i + 1));
      step.run();
    }
    return {test::state_of(network), test::by_name(network.parameters().velocities_by_name("")),
            counter.counts(), step.graph().loss()};
  }

  static Differences differences(const Tensors& actual, const Tensors& expected) {
    Differences found;
    for (const auto& [name, tensor] : expected) {
      found.add(name, test::doubles(actual.at(name)), test::doubles(tensor));
    }
    return found;
  }

  const Fixture fixture_{"cifar_lin_grow"};
  const std::int64_t exits_ = fixture_.config().blocks, classes_ = fixture_.config().classes;
  const std::vector<test::Batch> batches_ = {test::random_batch(fixture_.config(), kBatch, 1),
                                             test::random_batch(fixture_.config(), kBatch, 2),
                                             test::random_batch(fixture_.config(), kBatch, 3)};
  Runtime cpu_;
  Runtime gpu_{1, test::device()};
};

// Three steps, one captured and replayed with other images and another rate each time.
TEST_F(DeviceTest, AReplayedStepIsTheCpus) {
  const Trained expected = train(cpu_, DType::f32, 3), actual = train(gpu_, DType::f32, 3);
  EXPECT_TRUE(differences(actual.state, expected.state).within(1e-4));
  EXPECT_TRUE(differences(actual.velocities, expected.velocities).within(1e-3));
  EXPECT_NEAR(actual.loss, expected.loss, 1e-4 * expected.loss);
  EXPECT_EQ(actual.counts.samples, 3 * kBatch);
  EXPECT_EQ(actual.counts.top1, expected.counts.top1);
  EXPECT_EQ(actual.counts.ensemble_top5, expected.counts.ensemble_top5);
  for (std::size_t exit = 0; exit < static_cast<std::size_t>(exits_); ++exit) {
    EXPECT_NEAR(actual.counts.loss_sum[exit], expected.counts.loss_sum[exit],
                1e-4 * expected.counts.loss_sum[exit]);
  }
}

TEST_F(DeviceTest, TheSameStepsGiveTheSameBits) {
  EXPECT_TRUE(test::identical(train(gpu_, DType::f32, 2).state, train(gpu_, DType::f32, 2).state));
}

// bf16 keeps 8 bits: rounding of activations and factors moves each value by up to 2^-9 of itself,
// and batch norms over the deepest maps' 12 values amplify that. Measured 0.977 for the cosine of
// the angle between the two gradients; a wrong branch or layer turns it much further.
TEST_F(DeviceTest, MixedPrecisionFollows) {
  const Trained expected = train(cpu_, DType::f32, 1), actual = train(gpu_, DType::bf16, 1);
  EXPECT_NEAR(actual.loss, expected.loss, 0.02 * expected.loss);
  for (const auto& [name, tensor] : actual.state) EXPECT_NE(tensor.dtype(), DType::bf16) << name;
  double dot = 0.0, squares = 0.0, expected_squares = 0.0;
  for (const auto& [name, tensor] : expected.velocities) {
    const std::vector<double> e = test::doubles(tensor);
    const std::vector<double> a = test::doubles(actual.velocities.at(name));
    for (std::size_t i = 0; i < e.size(); ++i) {
      dot += a[i] * e[i], squares += a[i] * a[i], expected_squares += e[i] * e[i];
    }
  }
  EXPECT_GT(dot / std::sqrt(squares * expected_squares), 0.95);  // of the whole gradient
}

TEST_F(DeviceTest, EarlyExitIsTheCpus) {
  constexpr std::int64_t kImages = 7;
  const test::Batch images = test::random_batch(fixture_.config(), kImages, 4);
  const auto records = [&](Runtime& runtime, std::int64_t batch) {
    const Network network =
        test::load_network(fixture_.config(), fixture_.state(), runtime.allocator(), DType::f32);
    const Plan plan(runtime, network);
    Evaluator evaluator(runtime, plan, batch);
    const std::int64_t size = fixture_.config().image_size;
    const Tensor host = Tensor::activation(host_allocator(), kImages, size, size, 3, DType::f32);
    test::put_images(host.view(), images.images);
    for (std::int64_t first = 0; first < kImages; first += batch) {
      const std::int64_t n = std::min(batch, kImages - first);
      write_view(runtime.allocator(), evaluator.input(n), host.slice(0, first, n).view());
      evaluator.run(images.labels.data() + first, n);
    }
    return evaluator.records();
  };
  const ExitRecords expected = records(cpu_, 1), one = records(gpu_, 1), four = records(gpu_, 4);
  EXPECT_EQ(one.confidence, four.confidence);  // batch-invariant: the same bits
  EXPECT_EQ(one.prediction, four.prediction);
  EXPECT_EQ(one.prediction, expected.prediction);
  EXPECT_EQ(one.ensemble_prediction, expected.ensemble_prediction);
  for (std::size_t i = 0; i < expected.confidence.size(); ++i) {
    EXPECT_NEAR(one.confidence[i], expected.confidence[i], 1e-5);
  }
}

TEST_F(DeviceTest, CountersGoOnFromWhatTheyAreGiven) {
  const Trained once = train(gpu_, DType::f32, 1);
  DeviceExitCounter counter(gpu_, exits_, classes_, kBatch, DType::f32);
  counter.set(once.counts);
  const ExitCounts counts = counter.counts();
  EXPECT_EQ(counts.samples, once.counts.samples);
  EXPECT_EQ(counts.loss_sum, once.counts.loss_sum);
  EXPECT_EQ(counts.top1, once.counts.top1);
  EXPECT_EQ(counts.top5, once.counts.top5);
  EXPECT_EQ(counts.ensemble_top1, once.counts.ensemble_top1);
  EXPECT_EQ(counts.ensemble_top5, once.counts.ensemble_top5);
}

/// 20 images of 9x7.
ImageSet some_images() {
  ImageSet set;
  set.h = 9, set.w = 7, set.c = 3;
  for (std::int64_t i = 0; i < 20; ++i) set.labels.push_back(static_cast<std::int32_t>(i % 4));
  set.images.resize(static_cast<std::size_t>(20 * set.image_elems()));
  for (std::size_t i = 0; i < set.images.size(); ++i) {
    set.images[i] = static_cast<std::uint8_t>(i * 2654435761u >> 24);
  }
  return set;
}

struct FedBatch {
  std::vector<double> images;
  std::vector<std::int32_t> labels;
};

/// Two epochs of batches of 6, images and labels as ops see them.
std::vector<FedBatch> feed_all(Runtime& runtime, const ImageSet& set, Residency residency) {
  LoaderOptions options;
  options.batch_size = 6;
  options.shuffle = true;
  options.augmentation = Augmentation::standard;
  options.seed = 5;
  options.workers = 2;
  options.mean = {120.0f, 110.0f, 100.0f};
  options.std = {60.0f, 61.0f, 62.0f};
  std::vector<std::int64_t> indices;
  for (std::int64_t i = 19; i >= 2; --i) indices.push_back(i);
  BatchFeed feed(runtime, set, indices, options, residency);
  const Tensor images = Tensor::activation(runtime.allocator(), 6, set.h, set.w, set.c, DType::f32);
  const Tensor labels = Tensor::empty(runtime.allocator(), {6}, DType::i32);
  std::vector<FedBatch> all;
  for (std::int64_t epoch = 0; epoch < 2; ++epoch) {
    feed.start_epoch(epoch, epoch);  // the second one from its second step
    while (const Batch* batch = feed.next()) {
      const std::int64_t n = batch->images.n;
      feed.put(images.slice(0, 0, n).view(), static_cast<std::int32_t*>(labels.data()));
      const Tensor host = host_copy(runtime.allocator(), images.slice(0, 0, n).view());
      const Tensor host_labels = labels.to_host();
      const auto on_host = host_labels.span<std::int32_t>();
      EXPECT_TRUE(std::equal(batch->labels, batch->labels + n, on_host.begin()));
      all.push_back({test::doubles(host.view()), {on_host.begin(), on_host.begin() + n}});
    }
    EXPECT_EQ(feed.next(), nullptr);
  }
  return all;
}

TEST_F(DeviceTest, FeedsBringTheLoadersBatches) {
  const ImageSet set = some_images();
  const std::vector<FedBatch> expected = feed_all(cpu_, set, Residency::automatic);
  ASSERT_EQ(expected.size(), 3u + 2u);
  for (const Residency residency : {Residency::resident, Residency::streamed}) {
    const std::vector<FedBatch> actual = feed_all(gpu_, set, residency);
    ASSERT_EQ(actual.size(), expected.size());
    for (std::size_t b = 0; b < expected.size(); ++b) {
      EXPECT_EQ(actual[b].labels, expected[b].labels);
      ASSERT_EQ(actual[b].images.size(), expected[b].images.size());
      for (std::size_t i = 0; i < expected[b].images.size(); ++i) {
        ASSERT_NEAR(actual[b].images[i], expected[b].images[i], 1e-6) << b << " " << i;
      }
    }
  }
}

TEST_F(DeviceTest, RefusesDoublesAndSaysWhatTo) {
  Network network =
      test::load_network(fixture_.config(), fixture_.state(), gpu_.allocator(), DType::f64);
  EXPECT_TRUE(throws<ShapeError>([&] { const Plan plan(gpu_, network); }, {"f64", "f32"}));
}

}  // namespace
}  // namespace msd
