// SPDX-License-Identifier: MIT
// A group part of which another algorithm takes, with a plugin of this file's: what it is handed,
// and that the rest runs as ever. On the emulated device.
#include "kernels/libraries/by_algorithm.h"

#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <array>

#include "kernels/libraries/algorithms.h"
#include "tests/kernels/op_harness.h"

namespace msd::cuda {
namespace {

using test::Operand;

constexpr ConvGeometry kGeometry = {3, 5, 3, 1, 1};
constexpr float kAnswer = 1234.0f;  // what the fake algorithm writes

struct Seen {
  CUstream_st* stream = nullptr;
  std::vector<float> weight;
  void* target = nullptr;
  std::int64_t workspace_offset = 0;
};
Seen seen;
const Context* seen_context = nullptr;

std::int64_t prepare(void*, const AlgorithmKey* problem, std::int64_t, char*) {
  return problem->n == 2 ? 0 : -1;  // of the group's problems one
}
int run(void*, const AlgorithmKey* problem, const Operands* operands, char*) {
  cudaStreamSynchronize(seen.stream);
  seen.weight.resize(static_cast<std::size_t>(kGeometry.weight_elems()));
  cudaMemcpy(seen.weight.data(), operands->weight, seen.weight.size() * sizeof(float),
             cudaMemcpyDeviceToHost);
  seen.workspace_offset =
      static_cast<char*>(operands->workspace) - static_cast<char*>(seen_context->workspace);
  const bool forward = problem->op == ChoosableOp::conv_forward;
  seen.target = forward ? operands->y : operands->dx;
  static_cast<float*>(seen.target)[0] = kAnswer;
  return 0;
}
void* open(CUstream_st* stream, char*) {
  seen.stream = stream;
  return &seen;
}
void close(void*) {}

constexpr Candidate kCandidates[] = {
    {ChoosableOp::conv_forward, "cudnn", true, false, true, prepare, run},
    {ChoosableOp::conv_backward_data, "cudnn", true, false, true, prepare, run}};
constexpr PluginTable kTable = {kPluginVersion, 2, kCandidates, "fake", open, close};

class ByAlgorithm : public testing::TestWithParam<ConvPass> {};

TEST_P(ByAlgorithm, HandsOverOneOfAGroupWithItsWeightsAsLibrariesReadThem) {
  const bool forward = GetParam() == ConvPass::forward;
  ExecutionContext context = test::backend::context(1);
  PluginSession plugin(kTable, context.cuda->stream);
  AlgorithmChooser chooser(parse_algorithm_policy("conv_forward=cudnn,conv_backward_data=cudnn"),
                           &plugin, nullptr);
  seen_context = context.cuda;

  auto weight = Operand<float>::vector(kGeometry.weight_elems());
  weight.random(3);
  auto packed = Operand<float>::vector(conv_packed_elems(kGeometry, GetParam()));
  const ConvPackArgs pack{weight.data(), packed.data(), kGeometry, GetParam(), DType::f32};
  conv_pack(context, {&pack, 1});
  const std::int64_t in = forward ? kGeometry.cin : kGeometry.cout;
  const std::int64_t out = forward ? kGeometry.cout : kGeometry.cin;
  Operand<float> x1(1, 4, 4, in), x2(2, 4, 4, in), y1(1, 4, 4, out), y2(2, 4, 4, out);
  Operand<float> alone(1, 4, 4, out);
  auto memory1 = Operand<float>::vector(batch_statistics_bytes(y1.view()) / 4);
  auto memory2 = Operand<float>::vector(batch_statistics_bytes(y2.view()) / 4);
  x1.random(1), x2.random(2);
  const auto convolve = [&](auto make) {
    auto first = make(x1, y1), second = make(x2, y2);
    const auto only = make(x1, alone);
    context.cuda->algorithms = &chooser;
    if constexpr (std::is_same_v<decltype(make(x1, y1)), ConvForwardArgs>) {
      BatchStatistics of_first = {memory1.data(), 4 * memory1.elems(), {}};
      BatchStatistics of_second = {memory2.data(), 4 * memory2.elems(), y2.view()};  // of old
      first.statistics = &of_first, second.statistics = &of_second;
      const std::array group = {first, second};
      conv_forward(context, group);
      EXPECT_EQ(of_first.of.data, y1.data());
      EXPECT_EQ(of_second.of.data, nullptr) << "left by nobody";
      context.cuda->algorithms = nullptr;
      conv_forward(context, {&only, 1});
    } else {
      const std::array group = {first, second};
      conv_backward_data(context, group);
      context.cuda->algorithms = nullptr;
      conv_backward_data(context, {&only, 1});
    }
  };
  if (forward) {
    convolve([&](Operand<float>& x, Operand<float>& y) {
      return ConvForwardArgs{x.view(), packed.data(), nullptr, y.view(), kGeometry, false};
    });
  } else {
    convolve([&](Operand<float>& x, Operand<float>& y) {
      return ConvBackwardDataArgs{x.view(), packed.data(), y.view(), kGeometry, false};
    });
  }
  EXPECT_EQ(seen.target, y2.data());
  EXPECT_EQ(y2.data()[0], kAnswer);
  EXPECT_EQ(seen.weight, weight.values());
  EXPECT_EQ(seen.workspace_offset, 768);  // 135 floats, rounded up
  EXPECT_EQ(y1.values(), alone.values());
  ASSERT_EQ(chooser.choices().size(), 2u);
}
INSTANTIATE_TEST_SUITE_P(Passes, ByAlgorithm,
                         testing::Values(ConvPass::forward, ConvPass::backward_data));

}  // namespace
}  // namespace msd::cuda
