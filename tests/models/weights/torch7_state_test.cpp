// SPDX-License-Identifier: MIT
#include "models/weights/torch7_state.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "engine/files/safetensors.h"
#include "engine/random.h"
#include "tests/models/inference/plan_fixture.h"
#include "tests/models/networks.h"
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

/// What a Torch7 file can hold of a state: no counters.
Tensors without_counts(Tensors state) {
  for (auto& [name, tensor] : state) {
    if (name.ends_with(".num_batches_tracked")) tensor = test::make_counter(0);
  }
  return state;
}

class Torch7Fixtures : public testing::TestWithParam<std::string> {};

TEST_P(Torch7Fixtures, NamesAndBitsAreTheStates) {
  const Fixture fixture(GetParam());
  const Tensors expected = without_counts(fixture.state());
  std::vector<Torch7Style> styles(4);
  styles[1].version = 0;
  styles[1].cuda = true;
  styles[2].flat = true;
  styles[3].matrix = true;
  for (const Torch7Style& style : styles) {
    EXPECT_TRUE(
        test::identical(torch7_round_trip(fixture.config(), fixture.state(), style), expected));
  }
}

INSTANTIATE_TEST_SUITE_P(All, Torch7Fixtures, testing::ValuesIn(test::fixture_names()),
                         [](const auto& test) { return test.param; });

TEST(Torch7State, ReferenceNetworks) {
  MSD_NEED_REFERENCE("H_state.safetensors", "D_state.safetensors", "I_state.safetensors");
  for (const char letter : {'H', 'D', 'I'}) {
    const Tensors state =
        read_safetensors(test::reference_file(std::string(1, letter) + "_state.safetensors"))
            .tensors;
    EXPECT_TRUE(test::identical(torch7_round_trip(test::reference_config(letter), state),
                                without_counts(state)))
        << letter;
  }
}

TEST(Torch7State, LogitsAreTheSame) {
  const Fixture fixture("cifar_even");
  Runtime runtime(1);
  const std::vector<double> images = test::random_images(2, fixture.config().image_size, 5);
  const auto logits = [&](const Tensors& state) {
    const Network network =
        test::load_network(fixture.config(), state, runtime.allocator(), DType::f32);
    return test::run(runtime, Plan(runtime, network), images);
  };
  const auto expected = logits(fixture.state());
  EXPECT_TRUE(test::all_finite(expected.back()));
  EXPECT_EQ(logits(torch7_round_trip(fixture.config(), fixture.state())), expected);
}

TEST(Torch7State, WhatMayBeAroundTheNetwork) {
  const Fixture fixture("no_bottleneck");
  const auto whole = [&](auto around) {
    Torch7Style style;
    style.around = around;
    return test::identical(torch7_round_trip(fixture.config(), fixture.state(), style),
                           without_counts(fixture.state()));
  };
  using Write = std::function<void()>;
  EXPECT_TRUE(whole([](Torch7Writer&, const Write& network) { network(); }));
  EXPECT_TRUE(whole([](Torch7Writer& w, const Write& network) {  // {epoch = 3, model = ...}
    w.table(2);
    w.text("epoch");
    w.number(3.0);
    w.text("model");
    network();
  }));
  for (const int version : {1, 3}) {  // with a copy on another GPU
    EXPECT_TRUE(whole([&](Torch7Writer& w, const Write& network) {
      w.object("nn.DataParallelTable", version);
      if (version >= 2) w.table(0);
      w.table(2);
      w.text("flattenedParams");
      w.table(0);
      w.text("modules");
      w.table(2);
      w.number(2.0);
      w.object("nn.JointTrainModule");
      w.table(0);
      w.number(1.0);
      w.object("nn.Sequential");
      w.table(1);
      w.text("modules");
      w.table(1);
      w.number(1.0);
      network();
    })) << version;
  }
}

TEST(Torch7State, DoublesAndHalvesStayWhatTheyAre) {
  const Fixture fixture("prune_min");
  for (const DType dtype : {DType::f64, DType::f16}) {
    Tensors state = without_counts(fixture.state());
    for (auto& [name, tensor] : state) {
      if (tensor.dtype() != DType::f32) continue;
      const Tensor other = Tensor::empty(host_allocator(), tensor.shape(), dtype);
      for (std::int64_t i = 0; i < tensor.elems(); ++i) {
        store_element(other.data(), dtype, i, load_element(tensor.data(), DType::f32, i));
      }
      tensor = other;
    }
    EXPECT_TRUE(test::identical(torch7_round_trip(fixture.config(), state), state));
  }
}

TEST(Torch7State, ImagenetsStemWithoutBias) {
  const Fixture fixture("imagenet_four_scales");
  const std::string bias = "blocks.0.0.layers.0.0.bias";
  Tensors state = fixture.state();
  const Tensor zeros = Tensor::zeros(host_allocator(), state.at(bias).shape(), DType::f32);
  state.erase(bias);
  const Tensors read = torch7_round_trip(fixture.config(), state);
  state[bias] = zeros;
  EXPECT_TRUE(test::identical(read, without_counts(state)));
}

// BN(conv + bias) = BN with its running mean lower by the bias, of conv alone.
TEST(Torch7State, OtherBiasesGoIntoTheRunningMean) {
  const Fixture fixture("cifar_even");
  Tensors state = fixture.state(), expected = without_counts(fixture.state());
  const auto give_bias = [&](const std::string& conv, const std::string& norm, double bias) {
    const Tensor mean = state.at(norm + ".running_mean");
    std::vector<double> values = test::doubles(mean), biases;
    for (std::size_t i = 0; i < values.size(); ++i) {
      biases.push_back(bias * static_cast<double>(i + 1));
      values[i] -= biases[i];
    }
    state[conv + ".bias"] = test::make_tensor(mean.shape(), biases);
    expected[norm + ".running_mean"] = test::make_tensor(mean.shape(), values);
  };
  give_bias("blocks.0.0.layers.0.net.0", "blocks.0.0.layers.0.net.1", 0.25);
  give_bias("classifier.1.m.1.net.0", "classifier.1.m.1.net.1", -0.5);
  give_bias("classifier.0.m.0.net.0", "classifier.0.m.0.net.1", 0.0);  // stays bit for bit
  EXPECT_TRUE(test::identical(torch7_round_trip(fixture.config(), state), expected));
}

TEST(Torch7State, BatchNormWithoutWeights) {
  const Fixture fixture("cifar_even");
  Torch7Style style;
  style.affine = false;
  const Tensors read = torch7_round_trip(fixture.config(), fixture.state(), style);
  EXPECT_EQ(test::doubles(read.at("classifier.0.m.0.net.1.weight")), std::vector<double>(128, 1.0));
  EXPECT_EQ(test::doubles(read.at("classifier.0.m.0.net.1.bias")), std::vector<double>(128, 0.0));
}

/// The largest relative difference of variance + eps, which is what a batch norm divides by.
double worst_variance(const Tensors& read, const Tensors& state, double eps) {
  double worst = 0.0;
  for (const auto& [name, tensor] : state) {
    if (!name.ends_with(".running_var")) continue;
    const std::vector<double> a = test::doubles(read.at(name)), b = test::doubles(tensor);
    for (std::size_t i = 0; i < b.size(); ++i) {
      worst = std::max(worst, std::abs((a.at(i) + 1e-5) / (b[i] + eps) - 1.0));
    }
  }
  return worst;
}

TEST(Torch7State, RunningStdOfOldFiles) {
  const Fixture fixture("cifar_even");
  Tensors state = fixture.state();
  // Variances of 0 that rounding has brought below it.
  const std::string norm = "blocks.0.0.layers.0.net.1.running_var";
  const auto channels = static_cast<std::size_t>(state.at(norm).elems());
  state[norm] = test::make_tensor(state.at(norm).shape(), std::vector<double>(channels, -1e-12));
  Torch7Style style;
  style.running_std = true;
  const Tensors read = torch7_round_trip(fixture.config(), state, style);
  // Twice the rounding of the file's f32, and the result's own.
  EXPECT_LE(worst_variance(read, state, 1e-5), 3.0 * std::ldexp(1.0, -24));
  for (const double variance : test::doubles(read.at(norm))) EXPECT_GE(variance, 0.0);
}

TEST(Torch7State, AnotherEpsGoesIntoTheVariance) {
  const Fixture fixture("cifar_even");
  for (const double eps : {1e-3, 1e-6}) {
    Torch7Style style;
    style.numbers["eps"] = eps;
    const Tensors read = torch7_round_trip(fixture.config(), fixture.state(), style);
    EXPECT_LE(worst_variance(read, fixture.state(), eps), std::ldexp(1.0, -24)) << eps;
  }
  Tensors small = fixture.state();
  const std::string norm = "blocks.0.0.layers.1.net.1.running_var";
  small[norm] = Tensor::zeros(host_allocator(), small.at(norm).shape(), DType::f32);
  Torch7Style style;
  style.numbers["eps"] = 1e-6;
  EXPECT_TRUE(throws<FormatError>(
      [&] { torch7_round_trip(fixture.config(), small, style); },
      {"module 1.1.2.2 of the network", "cudnn.SpatialBatchNormalization", "eps 1e-06"}));
}

}  // namespace
}  // namespace msd
