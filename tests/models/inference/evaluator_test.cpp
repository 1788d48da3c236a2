// SPDX-License-Identifier: MIT
#include "models/inference/evaluator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "tests/models/networks.h"
#include "tests/support/allocators.h"
#include "tests/support/errors.h"

namespace msd {
namespace {

constexpr std::int64_t kSamples = 11;

class EvaluatorTest : public testing::Test {
 protected:
  EvaluatorTest() { test::randomize(network_, 31); }

  /// The samples [first, first + count) as a view of one tensor of all images.
  ConstView images(std::int64_t first, std::int64_t count) {
    if (!all_.defined()) {
      all_ = Tensor::activation(runtime_.allocator(), kSamples, size_, size_, 3, DType::f32);
      test::put_images(all_.view(), samples_.images);
    }
    return all_.slice(0, first, count).view();
  }

  struct Outcome {
    ExitRecords records;
    ExitCounts counts;
  };
  Outcome evaluate(std::int64_t batch, Runtime& runtime) {
    const Plan plan(runtime, network_);
    Evaluator evaluator(runtime, plan, batch);
    for (std::int64_t first = 0; first < kSamples; first += batch) {
      const std::int64_t count = std::min(batch, kSamples - first);
      evaluator.add(images(first, count), samples_.labels.data() + first);
    }
    return {evaluator.records(), evaluator.counts()};
  }

  static void expect_same(const Outcome& a, const Outcome& b) {
    EXPECT_EQ(a.records.exits, b.records.exits);
    EXPECT_EQ(a.records.labels, b.records.labels);
    EXPECT_EQ(a.records.confidence, b.records.confidence);
    EXPECT_EQ(a.records.prediction, b.records.prediction);
    EXPECT_EQ(a.records.top5, b.records.top5);
    EXPECT_EQ(a.records.ensemble_prediction, b.records.ensemble_prediction);
    EXPECT_EQ(a.records.ensemble_top5, b.records.ensemble_top5);
    EXPECT_EQ(a.counts.samples, b.counts.samples);
    EXPECT_EQ(a.counts.loss_sum, b.counts.loss_sum);
    EXPECT_EQ(a.counts.top1, b.counts.top1);
    EXPECT_EQ(a.counts.top5, b.counts.top5);
    EXPECT_EQ(a.counts.ensemble_top1, b.counts.ensemble_top1);
    EXPECT_EQ(a.counts.ensemble_top5, b.counts.ensemble_top5);
  }

  const MsdnetConfig& config_ = preset("cifar10-tiny");
  const std::int64_t size_ = config_.image_size;
  const test::Batch samples_ = test::random_batch(config_, kSamples, 32);
  Runtime runtime_;
  Network network_{config_, runtime_.allocator()};
  Tensor all_;
};

TEST_F(EvaluatorTest, ShortLastBatchesEqualOneByOne) {
  const Outcome one = evaluate(1, runtime_);
  EXPECT_EQ(one.records.samples(), kSamples);
  EXPECT_EQ(one.records.exits, 3);
  EXPECT_EQ(one.records.labels, samples_.labels);
  EXPECT_EQ(one.counts.samples, kSamples);
  for (const std::int64_t batch : {2, 4, 11, 16}) {
    SCOPED_TRACE(batch);
    expect_same(evaluate(batch, runtime_), one);
  }
}

TEST_F(EvaluatorTest, ThreadsAndUnwrittenMemoryDoNotShow) {
  const Outcome expected = evaluate(4, runtime_);
  SystemAllocator system;
  test::PoisonAllocator poison(system);
  Runtime runtime(3);
  runtime.set_allocator(poison);
  expect_same(evaluate(4, runtime), expected);
}

TEST_F(EvaluatorTest, RecordsWhatASessionOfOneSays) {
  const Outcome outcome = evaluate(4, runtime_);
  const Plan plan(runtime_, network_);
  PlanSession session(runtime_, plan, 1);
  for (std::int64_t s = 0; s < kSamples; ++s) {
    const CopyArgs to_input = {images(s, 1), session.input()};
    copy(runtime_.context(), {&to_input, 1});
    for (std::int64_t exit = 0; exit < 3; ++exit) {
      SoftmaxConfidenceArgs args;
      args.logits = session.run_stage(exit);
      float confidence = 0.0f;
      std::int32_t prediction = -1;
      args.max = &confidence;
      args.argmax = &prediction;
      softmax_confidence(runtime_.context(), {&args, 1});
      const std::size_t at = outcome.records.at(s, exit);
      EXPECT_EQ(outcome.records.confidence[at], confidence);  // the same bits
      EXPECT_EQ(outcome.records.prediction[at], prediction);
    }
  }
}

/// Puts a fence behind every block and counts the broken ones.
class FenceAllocator : public test::AllocatorAdaptor {
 public:
  FenceAllocator() : test::AllocatorAdaptor(host_allocator()) {}
  static constexpr std::size_t kFence = 1 << 20;
  void* allocate(std::int64_t bytes) override {
    void* memory = test::AllocatorAdaptor::allocate(bytes + static_cast<std::int64_t>(kFence));
    std::memset(fence(memory, bytes), 0xA5, kFence);
    return memory;
  }
  void deallocate(void* memory, std::int64_t bytes) noexcept override {
    const unsigned char* f = fence(memory, bytes);
    broken += std::any_of(f, f + kFence, [](unsigned char c) { return c != 0xA5; });
    test::AllocatorAdaptor::deallocate(memory, bytes);
  }
  int broken = 0;

 private:
  static unsigned char* fence(void* memory, std::int64_t bytes) {
    return static_cast<unsigned char*>(memory) + bytes;
  }
};

TEST_F(EvaluatorTest, RefusesMoreThanItsBatchAndTouchesNothing) {
  // As many images as do not fit in all of the session's memory, input or not.
  const Tensor many = Tensor::activation(runtime_.allocator(), 100, size_, size_, 3, DType::f32);
  const FillArgs clear = {many.view(), 1.0};
  fill(runtime_.context(), {&clear, 1});
  const std::vector<std::int32_t> labels(100, 0);
  FenceAllocator fences;
  {
    Runtime runtime;
    runtime.set_allocator(fences);
    const Plan plan(runtime, network_);
    Evaluator evaluator(runtime, plan, 2);
    EXPECT_THROW(evaluator.add(many.slice(0, 0, 3).view(), labels.data()), ShapeError);
    EXPECT_THROW(evaluator.add(many.view(), labels.data()), ShapeError);
    EXPECT_EQ(evaluator.records().samples(), 0);
    EXPECT_EQ(evaluator.counts().samples, 0);
  }
  EXPECT_EQ(fences.broken, 0);
}

TEST_F(EvaluatorTest, NeedsEveryExit) {
  const Plan last(runtime_, network_, {2});
  EXPECT_THROW(Evaluator(runtime_, last, 2), ShapeError);
}

}  // namespace
}  // namespace msd
