// SPDX-License-Identifier: MIT
// What deduce_config finds: always the network that made the names and shapes.
#include "models/weights/deduce_config.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/files/safetensors.h"
#include "models/network/architecture.h"
#include "tests/models/fixtures.h"
#include "tests/models/naive_network.h"
#include "tests/support/errors.h"

namespace msd {
namespace {

using test::throws;
using Factors = std::vector<std::int64_t>;

StateShapes shapes_of(const test::Tensors& tensors) {
  StateShapes shapes;
  for (const auto& [name, tensor] : tensors) shapes[name] = tensor.shape();
  return shapes;
}

StateShapes shapes_of(const MsdnetConfig& config) { return test::NaiveNetwork(config).state; }

auto parts_of(const Feature& f) { return std::make_tuple(f.buffer, f.first, f.channels); }

// The numbers of a kind, and the name of its batch norm.
std::pair<std::vector<std::int64_t>, std::string> kind_of(const Operation& op) {
  using Parts = std::pair<std::vector<std::int64_t>, std::string>;
  return visit(
      op,
      [](const Convolution& c) {
        const ConvGeometry& g = c.geometry;
        return Parts{{g.cin, g.cout, g.kernel, g.stride, g.padding, c.has_bias}, c.batchnorm_name};
      },
      [](const MaxPool& p) {
        return Parts{{p.geometry.kernel, p.geometry.stride, p.geometry.padding}, ""};
      },
      [](const GlobalAveragePool&) { return Parts{}; }, [](const Linear&) { return Parts{}; });
}

auto parts_of(const Operation& op) {
  return std::make_tuple(op.kind.index(), kind_of(op), parts_of(op.input), parts_of(op.output),
                         op.name, op.block, op.is_classifier, op.group);
}

// Every part of what is built, whatever the options are called.
void expect_same_network(const Architecture& a, const Architecture& b) {
  ASSERT_EQ(a.buffers.size(), b.buffers.size());
  for (std::size_t i = 0; i < a.buffers.size(); ++i) {
    EXPECT_EQ(a.buffers[i].size, b.buffers[i].size) << "buffer " << i;
    EXPECT_EQ(a.buffers[i].channels, b.buffers[i].channels) << "buffer " << i;
  }
  ASSERT_EQ(a.operations.size(), b.operations.size());
  for (std::size_t i = 0; i < a.operations.size(); ++i) {
    EXPECT_EQ(parts_of(a.operations[i]), parts_of(b.operations[i])) << a.operations[i].name;
  }
  ASSERT_EQ(a.exits(), b.exits());
  for (std::size_t i = 0; i < a.logits.size(); ++i) {
    EXPECT_EQ(parts_of(a.logits[i]), parts_of(b.logits[i])) << "exit " << i;
  }
}

// Deduces from shapes; `config` made them. Only its image size is a hint, as it is not in them.
void expect_found(const StateShapes& shapes, const MsdnetConfig& config) {
  const ConfigHints hints = ConfigHints().set(&MsdnetConfig::image_size, config.image_size);
  const DeducedConfig deduced = deduce_config(shapes, hints);
  EXPECT_TRUE(deduced.undecided.empty());
  expect_same_network(make_architecture(deduced.config), make_architecture(config));
}

TEST(DeduceConfig, PresetsAreFoundAsTheyAreWritten) {
  for (const Preset& p : presets()) {
    SCOPED_TRACE(p.name);
    const DeducedConfig deduced = deduce_config(shapes_of(p.config));
    expect_same_network(make_architecture(deduced.config), make_architecture(p.config));
    // Even the options, as the rules of choice follow custom; but for bounds of what is capped.
    MsdnetConfig expected = p.config;
    expected.bottleneck_factors = deduced.config.bottleneck_factors;
    EXPECT_EQ(deduced.config, expected);
    ASSERT_EQ(deduced.undecided.size(), 1u);
    EXPECT_NE(deduced.undecided[0].find("image size: " + std::to_string(p.config.image_size)),
              std::string::npos);
  }
}

TEST(DeduceConfig, FixturesAreFound) {
  for (const std::string& name : test::fixture_names()) {
    SCOPED_TRACE(name);
    const test::Fixture fixture(name);
    expect_found(shapes_of(fixture.state()), fixture.config());
  }
}

TEST(DeduceConfig, ReferenceNetworksAreFound) {
  MSD_NEED_REFERENCE("H_state.safetensors", "D_state.safetensors", "I_state.safetensors");
  for (const char letter : {'H', 'D', 'I'}) {
    SCOPED_TRACE(letter);
    const auto path = test::reference_file(std::string(1, letter) + "_state.safetensors");
    expect_found(shapes_of(read_safetensors(path).tensors), test::reference_config(letter));
  }
}

void set_factors(MsdnetConfig& c, Factors growth, Factors bottleneck) {
  c.growth_factors = std::move(growth);
  c.bottleneck_factors = std::move(bottleneck);
}

void set_steps(MsdnetConfig& c, std::int64_t blocks, StepMode mode, std::int64_t step,
               std::int64_t base) {
  c.blocks = blocks, c.step_mode = mode, c.step = step, c.base = base;
}

void set_imagenet(MsdnetConfig& c, const Factors& factors) {
  c.input_kind = InputKind::imagenet, c.image_size = 224, c.classes = 7;
  set_steps(c, 2, StepMode::even, 2, 3);
  set_factors(c, factors, factors);
}

struct Named {
  const char* name;
  std::function<void(MsdnetConfig&)> change;
};

// clang-format off
const Named kConfigs[] = {
    {"lin_grow", [](auto& c) { set_steps(c, 4, StepMode::lin_grow, 1, 1); }},
    {"lin_grow step 2", [](auto& c) { set_steps(c, 3, StepMode::lin_grow, 2, 4); }},
    {"lin_grow of two blocks", [](auto& c) { set_steps(c, 2, StepMode::lin_grow, 3, 2); }},
    {"even, base 1 step 1", [](auto& c) { set_steps(c, 5, StepMode::even, 1, 1); }},
    {"even of two blocks", [](auto& c) { set_steps(c, 2, StepMode::even, 3, 1); }},
    {"one block", [](auto& c) { set_steps(c, 1, StepMode::even, 2, 5); }},
    {"one block of one layer", [](auto& c) { set_steps(c, 1, StepMode::lin_grow, 3, 1); }},
    {"1 scale", [](auto& c) { set_factors(c, {1}, {2}); }},
    {"2 scales", [](auto& c) { set_factors(c, {1, 2}, {1, 2}); }},
    {"4 scales", [](auto& c) { set_factors(c, {1, 2, 4, 4}, {1, 2, 4, 4}); }},
    {"5 scales", [](auto& c) { set_factors(c, {1, 2, 2, 4, 8}, {4, 3, 2, 1, 1}); }},
    {"6 scales", [](auto& c) { set_factors(c, {1, 1, 2, 2, 3, 3}, {1, 1, 1, 2, 2, 2}); }},
    {"6 scales, few layers", [](auto& c) {
       set_factors(c, {1, 1, 2, 2, 3, 3}, {1, 1, 1, 2, 2, 2});
       set_steps(c, 2, StepMode::even, 1, 2);
     }},
    {"6 scales, few layers, min", [](auto& c) {
       set_factors(c, {1, 1, 2, 2, 3, 3}, {1, 1, 1, 2, 2, 2});
       set_steps(c, 2, StepMode::even, 1, 2), c.prune = PruneMode::min;
     }},
    {"factors 1-2-3", [](auto& c) { set_factors(c, {1, 2, 3}, {1, 2, 3}); }},
    {"factors 3-2-4 of growth 3", [](auto& c) { c.growth_rate = 3, set_factors(c, {3, 2, 4}, {1, 2, 4}); }},
    {"factors 2-4-8", [](auto& c) { set_factors(c, {2, 4, 8}, {1, 2, 4}); }},
    {"factors 2-4-8, odd widths", [](auto& c) {
       c.init_channels = 9, c.growth_rate = 5, set_factors(c, {2, 4, 8}, {1, 2, 4});
     }},
    {"factors 6-3-9, reduction 0.7", [](auto& c) {
       c.init_channels = 7, c.growth_rate = 4, c.reduction = 0.7, set_factors(c, {6, 3, 9}, {1, 2, 4});
     }},
    {"factors equal", [](auto& c) { set_factors(c, {5, 5, 5}, {2, 2, 2}); }},
    {"bottlenecks always capped", [](auto& c) { c.bottleneck_factors = {4000, 4000, 4000}; }},
    {"bottlenecks sometimes capped", [](auto& c) { c.bottleneck_factors = {9, 1, 7}; }},
    {"no bottleneck", [](auto& c) { c.bottleneck = false; }},
    {"no bottleneck, min", [](auto& c) { c.bottleneck = false, c.prune = PruneMode::min; }},
    {"min", [](auto& c) { c.prune = PruneMode::min; }},
    {"min, lin_grow", [](auto& c) { c.prune = PruneMode::min, set_steps(c, 3, StepMode::lin_grow, 1, 1); }},
    {"min of two layers", [](auto& c) { c.prune = PruneMode::min, set_steps(c, 2, StepMode::even, 1, 1); }},
    {"reduction 0", [](auto& c) { c.reduction = 0.0; }},
    {"reduction 0, min", [](auto& c) { c.reduction = 0.0, c.prune = PruneMode::min; }},
    {"reduction 0.25", [](auto& c) { c.reduction = 0.25; }},
    {"reduction 0.3", [](auto& c) { c.reduction = 0.3; }},
    // In doubles 0.29*300 is 87, but 0.29*100 is less than 29: no real number does both.
    {"reduction 0.29, 300 to 87 and 100 to 28", [](auto& c) {
       c.reduction = 0.29, c.init_channels = 274, c.growth_rate = 13;
       set_steps(c, 3, StepMode::even, 1, 1), set_factors(c, {1, 2, 2}, {1, 2, 2});
     }},
    {"reduction 0.7071", [](auto& c) { c.reduction = 0.7071, c.init_channels = 301; }},
    {"reduction 0.75", [](auto& c) { c.reduction = 0.75; }},
    {"reduction 1", [](auto& c) { c.reduction = 1.0; }},
    {"reduction 1, min", [](auto& c) { c.reduction = 1.0, c.prune = PruneMode::min; }},
    {"1 class", [](auto& c) { c.classes = 1; }},
    {"128 channels, as the classifier", [](auto& c) { c.init_channels = 32, set_factors(c, {1, 2, 4}, {1, 1, 1}); }},
    {"imagenet, 1 scale", [](auto& c) { set_imagenet(c, {1}); }},
    {"imagenet, 2 scales", [](auto& c) { set_imagenet(c, {1, 2}); }},
    {"imagenet, 3 scales", [](auto& c) { set_imagenet(c, {1, 2, 4}); }},
    {"imagenet, 4 scales, min", [](auto& c) { set_imagenet(c, {1, 2, 4, 4}), c.prune = PruneMode::min; }},
    {"imagenet, 5 scales", [](auto& c) { set_imagenet(c, {1, 2, 4, 4, 8}); }},
};
// clang-format on

TEST(DeduceConfig, ListedConfigurationsAreFound) {
  for (const Named& named : kConfigs) {
    SCOPED_TRACE(named.name);
    MsdnetConfig config;
    set_steps(config, 3, StepMode::even, 2, 3);
    named.change(config);
    expect_found(shapes_of(config), config);
  }
}

TEST(DeduceConfig, RandomConfigurationsAreFound) {
  int built = 0;
  for (std::uint64_t seed = 0; seed < 1500 && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomStream random(seed, RandomPurpose::test, 7);
    MsdnetConfig config = test::random_config(random);
    config.init_channels += random.below(100);
    if (random.below(2) == 0 && config.reduction > 0) config.reduction = random.uniform(0.1, 1.0);
    const std::int64_t times = 1 + random.below(4);
    for (std::int64_t& factor : config.growth_factors) factor *= times;
    try {
      make_architecture(config);
    } catch (const ConfigError&) {
      continue;  // too small an image, or a transition to nothing
    }
    ++built;
    expect_found(shapes_of(config), config);
  }
  EXPECT_GT(built, 700);
}

TEST(DeduceConfig, TakesTheRoundestReduction) {
  const auto found = [](std::int64_t init, double reduction) {
    MsdnetConfig c;
    set_steps(c, 2, StepMode::even, 1, 1);  // a transition after layer 2
    set_factors(c, {1, 2}, {1, 2});
    c.growth_rate = 2, c.init_channels = init, c.reduction = reduction;
    return deduce_config(shapes_of(c)).config.reduction;
  };
  EXPECT_EQ(found(1, 0.44), 0.5);        // 5 to 2: from 0.4 to less than 0.6
  EXPECT_EQ(found(3, 0.35), 0.3);        // 7 to 2
  EXPECT_EQ(found(97, 0.256), 0.25);     // 101 to 25
  EXPECT_EQ(found(997, 0.2567), 0.256);  // 1001 to 256
  EXPECT_EQ(found(1, 1.0), 1.0);
}

TEST(DeduceConfig, OldFilesMayLackCountersAndTheStemsBias) {
  for (const char* name : {"cifar10-tiny", "imagenet-k4"}) {
    StateShapes shapes = shapes_of(preset(name));
    std::erase_if(shapes, [](const auto& e) { return e.first.ends_with("num_batches_tracked"); });
    shapes.erase("blocks.0.0.layers.0.0.bias");
    expect_found(shapes, preset(name));
  }
}

}  // namespace
}  // namespace msd
