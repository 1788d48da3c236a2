// SPDX-License-Identifier: MIT
// Files whose tensors contradict each other, and hostile ones.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "engine/tensor.h"
#include "models/network/architecture.h"
#include "models/weights/deduce_config.h"
#include "models/weights/state_structure.h"
#include "tests/models/naive_network.h"
#include "tests/support/allocations.h"
#include "tests/support/errors.h"

namespace msd {
namespace {

using test::throws;

StateShapes shapes_of(const MsdnetConfig& config) { return test::NaiveNetwork(config).state; }

// Three blocks, three scales, both transitions, capped and uncapped bottlenecks.
MsdnetConfig small() {
  MsdnetConfig c = preset("cifar10-tiny");
  c.base = 3;
  return c;
}

std::vector<MsdnetConfig> damaged_networks() {
  MsdnetConfig imagenet = small(), plain = small();
  imagenet.input_kind = InputKind::imagenet, imagenet.image_size = 64;
  plain.bottleneck = false, plain.prune = PruneMode::min;
  return {small(), imagenet, plain};
}

TEST(DeduceConfigRefusals, EveryOtherShapeIsRefused) {
  for (const MsdnetConfig& config : damaged_networks()) {
    const StateShapes whole = shapes_of(config);
    for (const auto& [name, shape] : whole) {
      std::vector<std::vector<std::int64_t>> others = {shape, {}, {1, 1, 1, 1, 1}};
      others[0].push_back(1);
      for (std::size_t d = 0; d < shape.size(); ++d) {
        const std::int64_t size = shape[d];
        for (const std::int64_t other : {size - 1, size + 1, 2 * size, std::int64_t{0},
                                         std::numeric_limits<std::int64_t>::max()}) {
          others.push_back(shape);
          others.back()[d] = other;
        }
      }
      for (const auto& other : others) {
        if (other == shape) continue;
        StateShapes damaged = whole;
        damaged[name] = other;
        EXPECT_TRUE(throws<ConfigError>([&] { deduce_config(damaged); }))
            << name << testing::PrintToString(other);
      }
    }
  }
}

TEST(DeduceConfigRefusals, LateTensorsAreNamedWithWhatWasExpected) {
  // What is read first settles the network, so that what comes later is to blame.
  const StateShapes whole = shapes_of(small());
  for (const auto& [name, shape] : whole) {
    if (!name.starts_with("blocks.2.") || shape.empty()) continue;
    for (std::size_t d = 0; d < std::min<std::size_t>(2, shape.size()); ++d) {
      StateShapes damaged = whole;
      ++damaged[name][d];
      // Outputs are compared with those of the convolution or batch norm beside it first.
      const std::string expected =
          d == 0 ? "[" + std::to_string(shape[0]) : "needs " + shape_text(shape);
      EXPECT_TRUE(throws<ConfigError>([&] { deduce_config(damaged); },
                                      {name + " is " + shape_text(damaged[name]), expected}));
    }
  }
}

TEST(DeduceConfigRefusals, AConvolutionIsHeldAgainstItsBatchNorm) {
  // Of the stem, which nothing else could be held against.
  StateShapes shapes = shapes_of(small());
  ++shapes["blocks.0.0.layers.1.net.0.weight"][0];
  EXPECT_TRUE(throws<ConfigError>([&] { deduce_config(shapes); },
                                  {"blocks.0.0.layers.1.net.0.weight is [17,8,3,3]",
                                   "blocks.0.0.layers.1.net.1.weight is [16]"}));
}

TEST(DeduceConfigRefusals, EveryMissingTensorIsMissed) {
  for (const MsdnetConfig& config : damaged_networks()) {
    const StateShapes whole = shapes_of(config);
    for (const auto& entry : whole) {
      const std::string& name = entry.first;
      StateShapes damaged = whole;
      damaged.erase(name);
      if (name.ends_with("num_batches_tracked") || name == "blocks.0.0.layers.0.0.bias") {
        EXPECT_NO_THROW(deduce_config(damaged)) << name;
      } else {
        EXPECT_TRUE(throws<ConfigError>([&] { deduce_config(damaged); })) << name;
      }
    }
  }
}

TEST(DeduceConfigRefusals, UnknownTensorsAreNamed) {
  for (const char* name :
       {"fc.weight", "aaa", "zzz", "blocks.3.0.layers.0.conv_normal.net.0.weight",
        "blocks.2.1.layers.0.conv_normal.net.0.weight", "blocks.2.1.m.0.net.0.weight",
        "blocks.0.1.layers.1.conv_normal.net.0.bias", "blocks.0.01.layers.0.x", "classifier.3.x",
        "blocks.00.x", "blocks.0.9999999999999999999999.layers.0.x", "blocks.999999999.0.layers.0",
        "blocks.0.0.layers.3.net.0.weight", "blocks.0.0.layers.999999999.net.0.weight"}) {
    StateShapes shapes = shapes_of(small());
    shapes[name] = {1};
    EXPECT_TRUE(throws<ConfigError>([&] { deduce_config(shapes); })) << name;
  }
  StateShapes shapes = shapes_of(small());
  shapes["fc.weight"] = {1};
  EXPECT_TRUE(throws<ConfigError>([&] { deduce_config(shapes); }, {"fc.weight"}));
  shapes.erase("fc.weight");
  shapes["line\nbreak" + std::string(100000, 'x')] = {1};
  EXPECT_TRUE(throws<ConfigError>([&] { deduce_config(shapes); }, {"line?break", "..."}));
}

TEST(DeduceConfigRefusals, AbsurdSizesAreRefusedThoughTheyAgree) {
  for (const char* net : {"blocks.0.0.layers.2.net.0", "blocks.0.1.layers.2.conv_normal.net.3",
                          "blocks.0.1.layers.2.conv_normal.net.0", "blocks.0.4.m.1.net.0"}) {
    std::string norm = net;
    ++norm.back();
    for (const std::int64_t size : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1} << 31,
                                    std::numeric_limits<std::int64_t>::max()}) {
      StateShapes shapes = shapes_of(small());
      shapes.at(std::string(net) + ".weight")[0] = shapes.at(norm + ".weight")[0] = size;
      EXPECT_TRUE(throws<ConfigError>([&] { deduce_config(shapes); })) << net << " " << size;
    }
  }
}

TEST(DeduceConfigRefusals, TheFinestScaleHasNoFinerOne) {
  StateShapes shapes = shapes_of(small());
  const std::string own = "blocks.0.1.layers.0.conv_normal.",
                    down = "blocks.0.1.layers.0.conv_down.";
  for (const char* leaf : {"net.0.weight", "net.1.weight", "net.3.weight", "net.4.weight"}) {
    shapes[down + leaf] = shapes.at(own + leaf);
  }
  EXPECT_TRUE(throws<ConfigError>([&] { deduce_config(shapes); }));
}

TEST(DeduceConfigRefusals, OtherNetworksAreRecognised) {
  const std::string expected = "blocks.0.0.layers.0.net.0.weight";
  EXPECT_TRUE(throws<ConfigError>([] { deduce_config({}); }, {expected, "empty"}));
  const StateShapes resnet = {{"conv1.weight", {64, 3, 7, 7}}, {"fc.bias", {1000}}};
  EXPECT_TRUE(throws<ConfigError>([&] { deduce_config(resnet); }, {expected, "conv1.weight"}));
}

// Modules without end, of one tensor each.
TEST(DeduceConfigRefusals, HostileFilesCostNoMoreThanTheyHold) {
  constexpr int kNames = 20000;
  const auto number = [](int i) { return std::to_string(i); };
  const std::vector<std::function<std::string(int)>> hostile = {
      [&](int i) { return "blocks.0." + number(i + 1) + ".layers.0.conv_normal.net.0.weight"; },
      [&](int i) { return "blocks." + number(i) + ".1.layers.0.conv_normal.net.0.weight"; },
      [&](int i) { return "blocks." + number(i) + ".0.layers.0.conv_normal.net.0.weight"; },
      [&](int i) { return "blocks.0.0.layers." + number(i) + ".net.0.weight"; },
      [&](int i) { return "blocks.0.1.layers." + number(i) + ".net.0.weight"; },
      [&](int i) { return "blocks.0." + number(i) + ".m.0.net.0.weight"; },
      [&](int i) { return "classifier." + number(i) + ".linear.weight"; },
  };
  for (const auto& name : hostile) {
    StateShapes shapes = shapes_of(small());
    for (int i = 0; i < kNames; ++i) shapes[name(i)] = {std::int64_t{1} << 31, 1 << 30, 1, 1};
    shapes["blocks.0.0.layers.0.net.0.weight"] = {std::int64_t{1} << 31, 3, 3, 3};
    const long before = test::heap_allocations();
    EXPECT_TRUE(throws<ConfigError>([&] { deduce_config(shapes); })) << name(0);
    EXPECT_LT(test::heap_allocations() - before, 20L * kNames) << name(0);
  }
}

}  // namespace
}  // namespace msd
