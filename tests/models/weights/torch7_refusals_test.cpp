// SPDX-License-Identifier: MIT
// Networks that Torch7 saved and that are no MSDNets, or damaged: errors that name the module.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/random.h"
#include "models/weights/torch7_state.h"
#include "tests/models/weights/torch7_network.h"
#include "tests/support/errors.h"

namespace msd {
namespace {

using test::Fixture;
using test::Tensors;
using test::throws;
using test::torch7_round_trip;
using test::Torch7Style;
using test::Torch7Writer;

Tensors read(const std::vector<std::byte>& bytes) { return torch7_state(Torch7File(bytes).root()); }

TEST(Torch7Refused, OneNetworkOnly) {
  const Fixture fixture("no_bottleneck");
  Torch7Style style;
  style.around = [](Torch7Writer& w, const std::function<void()>& network) {
    w.table(2);
    w.text("best");
    network();
    w.text("latest");
    w.object("nn.JointTrainModule");
    w.table(0);
  };
  EXPECT_TRUE(throws<FormatError>(
      [&] { torch7_round_trip(fixture.config(), fixture.state(), style); }, {"2 networks"}));
  Torch7Writer other;
  other.object("nn.Sequential");
  other.table(0);
  EXPECT_TRUE(throws<FormatError>([&] { read(other.bytes()); },
                                  {"holds a nn.Sequential without an MSDNet"}));
}

struct Refusal {
  std::string name;
  std::map<std::string, double> numbers;
  std::map<std::string, std::string> classes;
  std::vector<std::string> words;
};

class Torch7RefusedModules : public testing::TestWithParam<Refusal> {};

TEST_P(Torch7RefusedModules, AreNamed) {
  const Fixture fixture("imagenet_four_scales");
  Torch7Style style;
  style.numbers = GetParam().numbers;
  style.classes = GetParam().classes;
  for (const std::string& word : GetParam().words) {
    EXPECT_TRUE(throws<FormatError>(
        [&] { torch7_round_trip(fixture.config(), fixture.state(), style); }, {word}));
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, Torch7RefusedModules,
    testing::Values(
        Refusal{"Groups", {{"groups", 2}}, {}, {"module 1.1.1.1 of the network", "groups 2"}},
        Refusal{"Stride", {{"dW", 3}}, {}, {"module 1.1.1.1", "dW 3, where an MSDNet has 2"}},
        Refusal{"Padding", {{"padH", 0}}, {}, {"padH 0, where an MSDNet has 3"}},
        Refusal{"Kernel", {{"kW", 5}}, {}, {"kW 5"}},
        Refusal{"Inputs", {{"nInputPlane", 4}}, {}, {"nInputPlane 4, where an MSDNet has 3"}},
        Refusal{"Join", {{"dimension", 1}}, {}, {"module 1.2.1.2", "dimension 1"}},
        Refusal{"Pool", {{"pool stride", 1}}, {}, {"module 1.1.1.4", "dW 1"}},
        Refusal{"Average", {{"average", 7}}, {}, {"SpatialAveragePooling", "kW 7"}},
        Refusal{"Activation", {}, {{"cudnn.ReLU", "nn.Tanh"}}, {"module 1.1.1.3", "a ReLU"}},
        Refusal{"Namespace",
                {},
                {{"cudnn.SpatialBatchNormalization", "my.SpatialBatchNormalization"}},
                {"my.SpatialBatchNormalization", "has a SpatialBatchNormalization"}},
        Refusal{"Layer", {}, {{"nn.MSDNet_Layer", "nn.Other"}}, {"module 1.2", "MSDNet_Layer"}},
        Refusal{"Classifier", {}, {{"nn.Linear", "nn.Other"}}, {"stands where", "a Linear"}}),
    [](const auto& test) { return test.param.name; });

TEST(Torch7Refused, WrongTensorsAreNamed) {
  const Fixture fixture("cifar_even");
  const auto refused = [&](const std::string& name, const Tensor& tensor,
                           std::initializer_list<std::string_view> words) {
    Tensors state = fixture.state();
    state[name] = tensor;
    return throws<FormatError>([&] { torch7_round_trip(fixture.config(), state); }, words);
  };
  const auto zeros = [](std::vector<std::int64_t> shape, DType dtype = DType::f32) {
    return Tensor::zeros(host_allocator(), std::move(shape), dtype);
  };
  const std::string conv = "blocks.0.0.layers.0.net.0.weight";
  EXPECT_TRUE(refused(conv, zeros({8, 3, 5, 5}), {"module 1.1.1.1", "[8, 3, 5, 5]"}));
  EXPECT_TRUE(refused(conv, zeros({8, 28}), {"[8, 28]"}));
  EXPECT_TRUE(refused(conv, zeros({8, 3, 3, 3}, DType::u8), {"torch.ByteTensor for weight"}));
  EXPECT_TRUE(refused("blocks.0.0.layers.0.net.1.running_mean", zeros({3}),
                      {"module 1.1.1.2", "running_mean of shape [3]"}));
  EXPECT_TRUE(refused("classifier.0.linear.bias", zeros({3}), {"bias of shape [3]"}));
}

TEST(Torch7Refused, RandomBytesNeverCrash) {
  const Fixture fixture("no_bottleneck");
  const std::vector<std::byte> whole = test::torch7_network(fixture.config(), fixture.state());
  RandomStream random(3, RandomPurpose::test);
  int refused = 0;
  for (int i = 0; i < 1'000; ++i) {
    std::vector<std::byte> bytes = whole;
    for (int k = 0; k < 8; ++k) {
      const auto at = random.below(static_cast<std::int64_t>(bytes.size()));
      bytes[static_cast<std::size_t>(at)] = static_cast<std::byte>(random.below(256));
    }
    try {
      EXPECT_FALSE(read(bytes).empty());
    } catch (const FormatError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 100);
  EXPECT_LT(refused, 1'000);
}

// The same tensor in every place would let a small file ask for much memory.
TEST(Torch7Refused, SharedTensorsAreRefused) {
  const Fixture fixture("no_bottleneck");
  Torch7Style style;
  style.shared["classifier.0.m.1.net.1.bias"] = "classifier.0.m.0.net.1.bias";
  EXPECT_TRUE(
      throws<FormatError>([&] { torch7_round_trip(fixture.config(), fixture.state(), style); },
                          {"shares its bias with another module"}));
}

}  // namespace
}  // namespace msd
