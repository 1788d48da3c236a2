// SPDX-License-Identifier: MIT
#include <cmath>
#include <random>

#include "apps/common/evaluate.h"
#include "apps/common/tensor_file.h"
#include "models/inference/plan.h"
#include "tests/apps/programs.h"
#include "tests/support/tensors.h"

namespace msd::test {
namespace {

class InferTensors : public ProgramTest {
 protected:
  static Tensor random_images(std::vector<std::int64_t> shape, DType dtype) {
    std::int64_t elems = 1;
    for (const std::int64_t d : shape) elems *= d;
    std::mt19937 random(7);
    std::vector<double> values;
    for (std::int64_t i = 0; i < elems; ++i)
      values.push_back(static_cast<double>(random() % 4096) / 1024.0 - 2.0);
    return make_tensor(std::move(shape), values, dtype);
  }

  ProgramResult run(const std::vector<NamedTensor>& tensors,
                    const std::vector<std::string>& more = {}) {
    write_safetensors(path("in.safetensors"), tensors);
    std::vector<std::string> arguments = {"--tensors", path("in.safetensors"), "--logits",
                                          path("out.safetensors")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return infer(arguments);
  }

  // What a session of batch n says, one tensor for each exit.
  std::map<std::string, Tensor> expected(const Tensor& input, DType dtype,
                                         const std::vector<std::int64_t>& exits) {
    Runtime runtime;
    Network network(small_config(), runtime.allocator(), dtype);
    read_checkpoint(weights_).load_weights(network);
    const Plan plan(runtime, network, exits);
    PlanSession session(runtime, plan, input.shape()[0]);
    session.set_input(channels_last(input).view());
    std::map<std::string, Tensor> logits;
    for (std::int64_t stage = 0; stage < plan.stages(); ++stage) {
      const std::vector<double> values = doubles(ConstView(session.run_stage(stage)));
      logits["logits" + std::to_string(exits[static_cast<std::size_t>(stage)] + 1)] =
          make_tensor({input.shape()[0], 10}, values, dtype);
    }
    return logits;
  }
};

TEST_F(InferTensors, WritesWhatASessionSays) {
  for (const DType of_file : {DType::f32, DType::f64}) {
    const Tensor input = random_images({3, 3, 32, 32}, of_file);
    for (const DType dtype : {DType::f32, DType::f64}) {
      ASSERT_TRUE(
          succeeds(run({{"input", input}}, {"--dtype", dtype == DType::f64 ? "fp64" : "fp32"})));
      EXPECT_TRUE(identical(read_safetensors(path("out.safetensors")).tensors,
                            expected(input, dtype, {0, 1, 2})));
    }
  }
}

TEST_F(InferTensors, FixedExitWritesThatOneAlone) {
  const Tensor input = random_images({2, 3, 32, 32}, DType::f32);
  ASSERT_TRUE(succeeds(run({{"input", input}}, {"--exit", "2"})));
  EXPECT_TRUE(identical(read_safetensors(path("out.safetensors")).tensors,
                        expected(input, DType::f32, {1})));
}

TEST_F(InferTensors, WrongTensorsAreNamed) {
  const Tensor small = random_images({2, 3, 16, 16}, DType::f32);
  EXPECT_TRUE(fails(run({{"input", small}}), 1, {"in.safetensors", "[n,3,32,32]"}));
  EXPECT_TRUE(fails(run({{"inputs", small}}), 1, {"in.safetensors", "input"}));
  const Tensor none = random_images({0, 3, 32, 32}, DType::f32);
  EXPECT_TRUE(fails(run({{"input", none}}), 1, {"in.safetensors"}));
  Tensor gap = random_images({1, 3, 32, 32}, DType::f32);
  gap.span<float>()[7] = std::nanf("");
  EXPECT_TRUE(fails(run({{"input", gap}}), 1, {"in.safetensors", "nan at element 7"}));
  EXPECT_TRUE(
      fails(infer({"--tensors", path("none"), "--logits", path("out")}), 1, {path("none")}));
}

TEST_F(InferTensors, TrainingOnTooFewNamesTheFile) {
  MsdnetConfig config = small_config();
  config.input_kind = InputKind::imagenet;  // ends in maps of 1x1
  SystemAllocator host;
  Network network(config, host);
  network.initialize(1);
  write_checkpoint(path("w"), network, data_description(small_dataset()), {});
  const Tensor labels = Tensor::empty(host, {1}, DType::i64);
  labels.span<std::int64_t>()[0] = 3;
  write_safetensors(path("one"),
                    {{"input", random_images({1, 3, 32, 32}, DType::f32)}, {"labels", labels}});
  EXPECT_TRUE(fails(run_program("msd-train", {"--weights", path("w"), "--tensors", path("one"),
                                              "--save-state", path("out")}),
                    1, {path("one"), "1 image", "needs 2"}));
}

}  // namespace
}  // namespace msd::test
