// SPDX-License-Identifier: MIT
#include "models/network/architecture.h"
#include "models/network/stages.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "models/network/cost.h"
#include "tests/models/naive_network.h"
#include "tests/support/errors.h"

namespace msd {
namespace {

using test::throws;

constexpr std::uint64_t kRandomConfigs = 300;

/// Which operation wrote each channel of each buffer; -1: none yet, -2: the image.
class Channels {
 public:
  explicit Channels(const Architecture& net) {
    for (const FeatureBuffer& b : net.buffers) owners_.emplace_back(b.channels, -1);
    std::fill(owners_[0].begin(), owners_[0].end(), -2);
  }
  int& at(const Feature& f, std::int64_t c) {
    return owners_.at(static_cast<std::size_t>(f.buffer)).at(static_cast<std::size_t>(f.first + c));
  }
  const std::vector<std::vector<int>>& all() const { return owners_; }

 private:
  std::vector<std::vector<int>> owners_;
};

std::int64_t size_of(const Architecture& net, const Feature& f) {
  return net.buffers.at(static_cast<std::size_t>(f.buffer)).size;
}

void expect_shapes_fit(const Architecture& net, const Operation& op) {
  const std::int64_t in = size_of(net, op.input), out = size_of(net, op.output);
  visit(
      op,
      [&](const Convolution& c) {
        EXPECT_EQ(c.geometry.cin, op.input.channels) << op.name;
        EXPECT_EQ(c.geometry.cout, op.output.channels) << op.name;
        EXPECT_EQ(c.geometry.padding, c.geometry.kernel / 2) << op.name;
        EXPECT_EQ(c.geometry.out_size(in), out) << op.name;
        EXPECT_FALSE(op.name.empty() || c.batchnorm_name.empty());
      },
      [&](const MaxPool& p) {
        EXPECT_EQ(op.input.channels, op.output.channels);
        EXPECT_EQ(p.geometry.out_size(in), out);
      },
      [&](const GlobalAveragePool&) {
        EXPECT_EQ(op.input.channels, op.output.channels);
        EXPECT_EQ(out, 1);
      },
      [&](const Linear&) {
        EXPECT_EQ(in, 1);
        EXPECT_EQ(out, 1);
        EXPECT_FALSE(op.name.empty());
      });
}

// Every channel is written exactly once, before it is read, and by another group than its readers'.
void expect_data_flows(const Architecture& net) {
  Channels owner(net);
  for (std::size_t i = 0; i < net.operations.size(); ++i) {
    const Operation& op = net.operations[i];
    for (std::int64_t c = 0; c < op.input.channels; ++c) {
      const int writer = owner.at(op.input, c);
      ASSERT_NE(writer, -1) << "operation " << i << " reads a channel nobody wrote";
      if (writer >= 0) {
        ASSERT_LT(net.operations[static_cast<std::size_t>(writer)].group, op.group);
      }
    }
    for (std::int64_t c = 0; c < op.output.channels; ++c) {
      ASSERT_EQ(owner.at(op.output, c), -1) << "operation " << i << " overwrites a channel";
      owner.at(op.output, c) = static_cast<int>(i);
    }
    expect_shapes_fit(net, op);
  }
  for (const auto& buffer : owner.all()) {
    EXPECT_EQ(std::count(buffer.begin(), buffer.end(), -1), 0) << "a channel is never written";
  }
}

void expect_order(const Architecture& net) {
  for (std::size_t i = 1; i < net.operations.size(); ++i) {
    const Operation &a = net.operations[i - 1], &b = net.operations[i];
    EXPECT_TRUE(a.group == b.group || a.group < b.group);
    EXPECT_TRUE(a.block == b.block || a.block + 1 == b.block);
    if (a.block == b.block) {
      EXPECT_TRUE(!a.is_classifier || b.is_classifier);
    }
    if (a.group == b.group) {
      EXPECT_EQ(a.kind.index(), b.kind.index());
      EXPECT_EQ(a.block, b.block);
      EXPECT_EQ(a.is_classifier, b.is_classifier);
    }
  }
}

void expect_exits(const Architecture& net) {
  ASSERT_EQ(net.exits(), net.config.blocks);
  Channels owner(net);
  for (std::size_t i = 0; i < net.operations.size(); ++i) {
    const Operation& op = net.operations[i];
    for (std::int64_t c = 0; c < op.output.channels; ++c) {
      owner.at(op.output, c) = static_cast<int>(i);
    }
  }
  for (std::int64_t exit = 0; exit < net.exits(); ++exit) {
    const Feature& logits = net.logits[static_cast<std::size_t>(exit)];
    EXPECT_EQ(logits.channels, net.config.classes);
    const Operation& op = net.operations[static_cast<std::size_t>(owner.at(logits, 0))];
    EXPECT_TRUE(std::holds_alternative<Linear>(op.kind) && op.is_classifier && op.block == exit);
    EXPECT_EQ(op.output.channels, logits.channels);
  }
}

/// The naive expansion needs no more than DESIGN; both must agree on the plain costs.
void expect_plain_costs(const Architecture& net) {
  const test::NaiveNetwork naive(net.config);
  const std::vector<ExitCost> costs = exit_costs(net);
  ASSERT_EQ(costs.size(), naive.exits.size());
  for (std::size_t k = 0; k < costs.size(); ++k) {
    EXPECT_EQ(costs[k].ops, naive.exits[k].ops) << "exit " << k;
    EXPECT_EQ(costs[k].mul_adds, naive.exits[k].mul_adds) << "exit " << k;
    EXPECT_EQ(costs[k].params, naive.exits[k].params) << "exit " << k;
  }
}

/// The exits whose logits change with the output of `operation`, followed forwards.
std::vector<bool> exits_reached(const Architecture& net, std::size_t operation) {
  Channels tainted(net);
  for (std::size_t i = operation; i < net.operations.size(); ++i) {
    const Operation& op = net.operations[i];
    bool taint = i == operation;
    for (std::int64_t c = 0; c < op.input.channels && !taint; ++c) {
      taint = tainted.at(op.input, c) >= 0;
    }
    for (std::int64_t c = 0; c < op.output.channels && taint; ++c) tainted.at(op.output, c) = 1;
  }
  std::vector<bool> reached;
  for (const Feature& logits : net.logits) reached.push_back(tainted.at(logits, 0) >= 0);
  return reached;
}

void expect_requirements(const Architecture& net) {
  std::vector<std::vector<bool>> alone;
  std::vector<std::int64_t> so_far;
  std::vector<bool> before(net.operations.size(), false);
  const std::vector<std::vector<std::size_t>> lazy = stages(net, all_exits(net));
  ASSERT_EQ(lazy.size(), static_cast<std::size_t>(net.exits()));
  for (std::int64_t exit = 0; exit < net.exits(); ++exit) {
    alone.push_back(required_operations(net, {exit}));
    so_far.push_back(exit);
    const std::vector<bool> together = required_operations(net, so_far);
    std::vector<std::size_t> added, direct;
    for (std::size_t i = 0; i < net.operations.size(); ++i) {
      EXPECT_EQ(together[i], before[i] || alone.back()[i]);
      if (together[i] && !before[i]) added.push_back(i);
      if (alone.back()[i]) direct.push_back(i);
      // Every trunk operation that an exit needs is needed by the next as well; a classifier by its
      // own exit alone.
      const Operation& op = net.operations[i];
      if (op.is_classifier) {
        EXPECT_EQ(alone.back()[i], op.block == exit);
      } else if (exit > 0 && alone[alone.size() - 2][i]) {
        EXPECT_TRUE(alone.back()[i]) << op.name << " exit " << exit;
      }
      if (op.block > exit) {
        EXPECT_FALSE(together[i]);
      }
    }
    EXPECT_EQ(lazy[static_cast<std::size_t>(exit)], added);
    EXPECT_EQ(stages(net, {exit}), (std::vector<std::vector<std::size_t>>{direct}));
    before = together;
  }
  for (std::size_t i = 0; i < net.operations.size(); ++i) {
    const std::vector<bool> reached = exits_reached(net, i);
    for (std::size_t exit = 0; exit < alone.size(); ++exit) {
      EXPECT_EQ(alone[exit][i], reached[exit]) << net.operations[i].name << " exit " << exit;
    }
  }
}

TEST(Architecture, RandomConfigurationsAreSound) {
  int built = 0;
  for (std::uint64_t seed = 0; seed < kRandomConfigs && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomStream random(seed, RandomPurpose::test);
    const MsdnetConfig config = test::random_config(random);
    Architecture net;
    try {
      net = make_architecture(config);
    } catch (const ConfigError&) {
      continue;  // too small an image, or a transition to nothing
    }
    ++built;
    EXPECT_EQ(net.config, config);
    EXPECT_EQ(net.buffers.at(0).channels, 3);
    EXPECT_EQ(net.buffers.at(0).size, config.image_size);
    expect_data_flows(net);
    expect_order(net);
    expect_exits(net);
    expect_plain_costs(net);
    expect_requirements(net);
  }
  EXPECT_GT(built, static_cast<int>(kRandomConfigs / 2));
}

TEST(Architecture, PresetsAreSound) {
  for (const Preset& p : presets()) {
    SCOPED_TRACE(p.name);
    const Architecture net = make_architecture(p.config);
    expect_data_flows(net);
    expect_order(net);
    expect_exits(net);
    expect_plain_costs(net);
  }
}

TEST(Architecture, OnlyTheImagenetStemHasABiasAndAMaxPool) {
  for (const char* name : {"cifar10-tiny", "imagenet-k4"}) {
    const Architecture net = make_architecture(preset(name));
    std::vector<std::string> biased;
    int pools = 0;
    for (const Operation& op : net.operations) {
      const auto* conv = std::get_if<Convolution>(&op.kind);
      if (conv != nullptr && conv->has_bias) biased.push_back(op.name);
      pools += std::holds_alternative<MaxPool>(op.kind);
    }
    const bool imagenet = net.config.input_kind == InputKind::imagenet;
    EXPECT_EQ(biased, imagenet ? std::vector<std::string>{"blocks.0.0.layers.0.0"}
                               : std::vector<std::string>{});
    EXPECT_EQ(pools, imagenet ? 1 : 0);
  }
}

TEST(Architecture, ALayerIsTwoGroupsOfUpToFiveBranches) {
  // Three scales: 2*3 - 1 branches, each a 1x1 and a 3x3; the stem's scales are a chain.
  const Architecture net = make_architecture(preset("cifar10-anytime10"));
  std::int64_t largest = 0, count = 0, group = -1;
  for (const Operation& op : net.operations) {
    count = op.group == group ? count + 1 : 1;
    group = op.group;
    largest = std::max(largest, count);
  }
  EXPECT_EQ(largest, 5);
}

TEST(Architecture, OddNewChannelsCannotBeHalved) {
  MsdnetConfig c;
  c.growth_rate = 3;
  c.growth_factors = {1, 1, 2};
  EXPECT_TRUE(throws<ConfigError>([&] { make_architecture(c); }, {"growth"}));
  c.growth_factors = {1, 2, 4};  // only the finest scale has 3
  EXPECT_EQ(make_architecture(c).exits(), 10);
}

TEST(Architecture, ImagesCanBeTooSmall) {
  // A scale needs a map its finer neighbour can halve; classifiers take what is left, 1x1 too.
  MsdnetConfig c;
  for (const std::int64_t size : {1, 2}) {
    c.image_size = size;
    EXPECT_TRUE(throws<ConfigError>([&] { make_architecture(c); }, {"image-size"})) << size;
  }
  for (const std::int64_t size : {3, 4, 5, 8}) {
    c.image_size = size;
    expect_plain_costs(make_architecture(c));
  }
  c = preset("imagenet-k4");
  c.image_size = 16;
  EXPECT_TRUE(throws<ConfigError>([&] { make_architecture(c); }, {"image-size"}));
  c.image_size = 32;
  expect_plain_costs(make_architecture(c));
}

TEST(Architecture, TransitionsMustLeaveAChannel) {
  MsdnetConfig c;
  c.reduction = 0.01;
  EXPECT_TRUE(throws<ConfigError>([&] { make_architecture(c); }, {"reduction"}));
}

}  // namespace
}  // namespace msd
