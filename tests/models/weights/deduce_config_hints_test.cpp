// SPDX-License-Identifier: MIT
// What deduce_config makes of the fields that somebody decided.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "models/weights/deduce_config.h"
#include "tests/models/naive_network.h"
#include "tests/support/errors.h"

namespace msd {
namespace {

using test::throws;
using C = MsdnetConfig;

StateShapes shapes_of(const MsdnetConfig& config) { return test::NaiveNetwork(config).state; }

MsdnetConfig small() {
  MsdnetConfig c = preset("cifar10-tiny");
  c.base = 3;
  return c;
}

template <typename T>
ConfigHints hint(T C::*field, std::type_identity_t<T> value) {
  return ConfigHints().set(field, std::move(value));
}

TEST(DeduceConfigHints, AreTakenAsTheyAre) {
  const MsdnetConfig config = small();
  EXPECT_EQ(deduce_config(shapes_of(config), ConfigHints(config)).config, config);
}

TEST(DeduceConfigHints, ChooseAmongEqualConfigurations) {
  const auto expect_kept = [](const MsdnetConfig& config, const ConfigHints& hints) {
    const DeducedConfig deduced = deduce_config(shapes_of(config), hints);
    EXPECT_EQ(deduced.config, config);
  };
  MsdnetConfig c = deduce_config(shapes_of(small())).config;
  c.blocks = 2, c.step_mode = StepMode::lin_grow, c.step = 1, c.base = 2;  // or even, 2
  expect_kept(c, hint(&C::step_mode, StepMode::lin_grow));
  c.step_mode = StepMode::even, c.step = 2;
  expect_kept(c, {});
  expect_kept(c, hint(&C::step, 2));
  c.blocks = 1, c.step = 77;
  expect_kept(c, hint(&C::step, 77));
  c = small();  // even widths: rounding does not tell these from 1-2-4
  c.growth_factors = {2, 4, 8}, c.growth_rate = 4, c.init_channels = 4;
  expect_kept(c, hint(&C::growth_factors, c.growth_factors));
  expect_kept(c, hint(&C::growth_rate, 4));
  expect_kept(c, hint(&C::init_channels, 4));
  c = small();
  c.reduction = 0.51;
  expect_kept(c, hint(&C::reduction, 0.51));
  c.reduction = 0.5, c.bottleneck_factors = {4096, 4096, 4096};
  expect_kept(c, hint(&C::bottleneck_factors, c.bottleneck_factors));
  c = small();
  c.growth_factors = {1}, c.bottleneck_factors = {1}, c.reduction = 0, c.prune = PruneMode::min;
  expect_kept(c, hint(&C::prune, PruneMode::min));
  c.prune = PruneMode::max;
  expect_kept(c, {});
}

TEST(DeduceConfigHints, ThatContradictTheFileAreNamed) {
  struct Wrong {
    ConfigHints hints;
    std::vector<std::string> words;
  };
  const std::vector<Wrong> all = {
      {hint(&C::blocks, 4), {"--blocks 4", "3 blocks"}},
      {hint(&C::step_mode, StepMode::lin_grow), {"--step-mode lin_grow", "[3,1,1]"}},
      {hint(&C::step, 2), {"--step 2", "[3,1,1]"}},
      {hint(&C::base, 4), {"--base 4", "[3,1,1]"}},
      {hint(&C::init_channels, 16),
       {"--init-channels 16", "blocks.0.0.layers.0.net.0.weight is [8,"}},
      {hint(&C::growth_rate, 8),
       {"--growth-rate 8", "blocks.0.1.layers.0.conv_normal.net.0.weight"}},
      {hint(&C::growth_factors, {1, 2, 2}),
       {"--growth-factors 1-2-2", "blocks.0.0.layers.2.net.0.weight is [32,"}},
      {hint(&C::growth_factors, {1, 2}), {"--growth-factors 1-2", "3 scales"}},
      {hint(&C::bottleneck, false),
       {"--no-bottleneck", "blocks.0.1.layers.0.conv_normal.net.0.weight is [4,8,1,1]"}},
      {hint(&C::bottleneck_factors, {1, 3, 4}),
       {"--bottleneck-factors 1-3-4", "blocks.0.1.layers.1.conv_normal.net.0.weight"}},
      {hint(&C::bottleneck_factors, {1, 2}), {"--bottleneck-factors", "one for each scale"}},
      {hint(&C::prune, PruneMode::min), {"--prune min", "blocks.0."}},
      {hint(&C::reduction, 0.75), {"--reduction 0.75", ".m.0.net.0.weight"}},
      {hint(&C::reduction, 0.0), {"--reduction 0", "a transition"}},
      {hint(&C::step, std::numeric_limits<std::int64_t>::max()), {"--step 9223372036854775807"}},
      {hint(&C::reduction, std::nan("")), {"--reduction"}},
      {hint(&C::classes, 100), {"--classes 100", "classifier.0.linear.weight is [10,128]"}},
      {hint(&C::input_kind, InputKind::imagenet),
       {"--input-kind imagenet", "blocks.0.0.layers.0.0.weight is missing"}},
      {hint(&C::image_size, 2), {"--image-size 2"}},
      {hint(&C::growth_rate, 3).set(&C::prune, PruneMode::max), {"--growth-rate 3"}},
  };
  const StateShapes shapes = shapes_of(small());
  for (const Wrong& wrong : all) {
    for (const std::string& word : wrong.words) {
      EXPECT_TRUE(throws<ConfigError>([&] { deduce_config(shapes, wrong.hints); }, {word}));
    }
  }
}

}  // namespace
}  // namespace msd
