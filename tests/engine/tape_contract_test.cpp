// SPDX-License-Identifier: MIT
// What the tape promises beside gradients: memory, allocations, order of calls.
#include <gtest/gtest.h>

#include <vector>

#include "engine/autograd/loss.h"
#include "engine/autograd/pooling.h"
#include "tests/engine/tape_model.h"
#include "tests/support/allocations.h"
#include "tests/support/allocators.h"
#include "tests/support/errors.h"
#include "tests/support/tensors.h"

namespace msd {
namespace {

using test::TapeModel;

constexpr Tape::BufferOptions kInPlace = {.requires_gradient = true, .gradient_in_place = true};

TapeModel two_layers() {
  TapeModel m(4);
  const Variable x = m.input(8, 8, 3), raw = m.buffer(8, 8, 6, kInPlace), y = m.buffer(8, 8, 6);
  const Variable raw2 = m.buffer(4, 4, 7, kInPlace), y2 = m.buffer(4, 4, 7);
  const Variable pooled = m.buffer(1, 1, 7), logits = m.buffer(1, 1, 3);
  m.convolutions({{x, raw}});
  m.norms({{raw, y}});
  m.convolutions({{y, raw2, 3, 2}});
  m.norms({{raw2, y2}});
  m.average_pools({{y2, pooled}});
  m.linears({{pooled, logits}});
  m.losses({{logits}});
  return m;
}

TEST(Tape, RunsWithoutAllocating) {
  const TapeModel model = two_layers();
  SystemAllocator system;
  test::StatisticsAllocator statistics(system);
  Runtime runtime(2);
  runtime.set_allocator(statistics);
  TapeModel::Recorded recorded(model, runtime, DType::f32);
  const long heap = test::heap_allocations();
  const std::int64_t before = statistics.allocations();
  EXPECT_GT(heap, 0);  // the counter counts
  for (int i = 0; i < 3; ++i) {
    recorded.tape().forward();
    recorded.tape().backward();
  }
  EXPECT_EQ(test::heap_allocations(), heap);
  EXPECT_EQ(statistics.allocations(), before);
}

TEST(Tape, SharesMemoryBetweenWhatIsNotAliveTogether) {
  // A chain of 20 equal maps: kept apart, values and gradients would be 40 of them.
  TapeModel m(2);
  Variable from = m.input(16, 16, 4);
  const std::int64_t map_bytes = 2 * 16 * 16 * 4 * 4;
  for (int i = 0; i < 10; ++i) {
    const Variable raw = m.buffer(16, 16, 4, kInPlace), y = m.buffer(16, 16, 4);
    m.convolutions({{from, raw}});
    m.norms({{raw, y}});
    from = y;
  }
  const Variable pooled = m.buffer(1, 1, 4), logits = m.buffer(1, 1, 3);
  m.average_pools({{from, pooled}});
  m.linears({{pooled, logits}});
  m.losses({{logits}});
  Runtime runtime;
  TapeModel::Recorded recorded(m, runtime, DType::f32);
  // The input, 20 values that backward needs, two gradients, and small change (scratch, logits).
  EXPECT_LT(recorded.tape().arena_bytes(), 24 * map_bytes);
}

/// Does nothing but ask for scratch of one phase.
class ScratchNode : public Node {
 public:
  explicit ScratchNode(ScratchRequest::Phase phase) : phase_(phase) {}
  std::vector<ScratchRequest> scratch(const Tape&) const override { return {{kBytes, phase_}}; }
  void bind(const Tape&, const std::vector<std::byte*>& scratch) override { memory = scratch[0]; }
  void forward(ExecutionContext&) override {}
  void backward(ExecutionContext&) override {}

  static constexpr std::int64_t kBytes = 4096;
  std::byte* memory = nullptr;

 private:
  ScratchRequest::Phase phase_;
};

TEST(Tape, KeepsScratchForTheNextNodeUntilItsForward) {
  using Phase = ScratchRequest::Phase;
  Runtime runtime(1);
  ParameterSet parameters;
  parameters.allocate(runtime.allocator(), DType::f32);
  Tape tape(runtime, parameters, DType::f32);
  const auto& first = tape.record<ScratchNode>(Phase::forward_to_next);
  const auto& second = tape.record<ScratchNode>(Phase::forward);
  const auto& third = tape.record<ScratchNode>(Phase::forward);
  tape.compile();
  EXPECT_NE(first.memory, second.memory);
  EXPECT_TRUE(third.memory == first.memory || third.memory == second.memory) << "it is over";
  EXPECT_EQ(tape.arena_bytes(), 2 * ScratchNode::kBytes);
}

TEST(Tape, WhatIsKeptOutlivesTheBackwardPass) {
  TapeModel m(2);
  const Variable x = m.input(6, 6, 3), raw = m.buffer(6, 6, 4, kInPlace), y = m.buffer(6, 6, 4);
  const Variable pooled = m.buffer(1, 1, 4);
  const Variable logits = m.buffer(1, 1, 3, {.requires_gradient = true, .keep = true});
  m.convolutions({{x, raw}});
  m.norms({{raw, y}});
  m.average_pools({{y, pooled}});
  m.linears({{pooled, logits}});
  m.losses({{logits}});
  Runtime runtime;
  TapeModel::Recorded recorded(m, runtime, DType::f64);
  const std::vector<double> input = test::doubles(recorded.tape().value(x));
  recorded.tape().forward();
  const std::vector<double> after_forward = test::doubles(recorded.tape().value(logits));
  recorded.tape().backward();
  EXPECT_EQ(test::doubles(recorded.tape().value(logits)), after_forward);
  EXPECT_EQ(test::doubles(recorded.tape().value(x)), input);
}

TEST(Tape, TellsShapesBeforeCompiling) {
  Runtime runtime;
  ParameterSet parameters;
  Tape tape(runtime, parameters, DType::f32);
  const Variable v = tape.buffer(2, 3, 4, 5);
  const View shape = tape.shape({v.buffer, 1, 3});
  EXPECT_TRUE(shape.n == 2 && shape.h == 3 && shape.w == 4 && shape.c == 3);
  EXPECT_EQ(shape.data, nullptr);
  EXPECT_EQ(shape.dtype, DType::f32);
  EXPECT_THROW(tape.buffer(2, 0, 4, 5), ShapeError);
}

/// x -> average -> logits -> loss, recorded by hand.
struct Small {
  explicit Small(Tape::BufferOptions middle = {}) : tape(runtime, parameters, DType::f32) {
    parameters.allocate(runtime.allocator(), DType::f32);
    x = tape.buffer(2, 2, 2, 3, middle);
    logits = tape.buffer(2, 1, 1, 3);
  }
  void average(Variable from, Variable to) { tape.record<GlobalAvgPoolNode>().add(from, to); }
  Runtime runtime;
  ParameterSet parameters;
  Tape tape;
  Variable x, logits;
  const std::vector<std::int32_t> labels = {0, 1};
  std::vector<float> losses = {0.0f, 0.0f};
};

TEST(Tape, OrderOfCallsIsChecked) {
  Small s;
  s.average(s.x, s.logits);
  s.tape.record<CrossEntropyNode>(s.labels.data(), s.losses.data()).add(s.logits, 1.0);
  EXPECT_THROW(s.tape.forward(), ShapeError);
  EXPECT_THROW(s.tape.backward(), ShapeError);
  s.tape.compile();
  EXPECT_THROW(s.tape.compile(), ShapeError);
  EXPECT_THROW(s.tape.buffer(1, 1, 1, 1), ShapeError);
}

TEST(Tape, AnInPlaceGradientHasOneReader) {
  Small s(kInPlace);
  const Variable second = s.tape.buffer(2, 1, 1, 3);
  s.average(s.x, s.logits);
  s.average(s.x, second);
  auto& loss = s.tape.record<CrossEntropyNode>(s.labels.data(), s.losses.data());
  loss.add(s.logits, 1.0);
  loss.add(second, 1.0);
  EXPECT_TRUE(test::throws<ShapeError>([&] { s.tape.compile(); }, {"in place"}));
}

TEST(Tape, TwoLossesMustNotShareLogits) {
  Small s;
  s.average(s.x, s.logits);
  auto& loss = s.tape.record<CrossEntropyNode>(s.labels.data(), s.losses.data());
  loss.add(s.logits, 1.0);
  loss.add({s.logits.buffer, 1, 2}, 1.0);
  EXPECT_THROW(s.tape.compile(), ShapeError);
}

TEST(Tape, LabelsAreReadAtEveryForward) {
  Small s;
  s.average(s.x, s.logits);
  std::vector<std::int32_t> labels = {0, 1};
  s.tape.record<CrossEntropyNode>(labels.data(), s.losses.data()).add(s.logits, 1.0);
  s.tape.compile();
  const FillArgs clear = {s.tape.value(s.x), 0.0};
  fill(s.runtime.context(), {&clear, 1});
  s.tape.value(s.x).as<float>()[0] = 4.0f;  // image 0 now says class 0
  s.tape.forward();
  const float right = s.losses[0];
  labels[0] = 2;
  s.tape.forward();
  EXPECT_NEAR(s.losses[0] - right, 0.5f, 1e-6f);  // (z_0 - z_2)/2 = (4/4 - 0)/2, rounded once
  labels[0] = 3;
  EXPECT_THROW(s.tape.forward(), ShapeError);
}

}  // namespace
}  // namespace msd
