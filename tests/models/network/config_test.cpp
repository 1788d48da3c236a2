// SPDX-License-Identifier: MIT
#include "models/network/config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "models/network/architecture.h"
#include "models/network/config_hints.h"
#include "tests/models/fixtures.h"
#include "tests/models/naive_network.h"
#include "tests/support/errors.h"

namespace msd {
namespace {

using nlohmann::json;
using test::throws;

TEST(Config, DefaultsAreTheAnytimeNetwork) {
  const MsdnetConfig c;
  c.check();
  EXPECT_EQ(c, preset("cifar10-anytime10"));
  EXPECT_EQ(c.scales(), 3);
}

TEST(Config, LayersOfBlocks) {
  MsdnetConfig c;
  c.blocks = 4, c.base = 5, c.step = 2;
  c.step_mode = StepMode::even;
  EXPECT_EQ(c.block_layers(0), 5);
  EXPECT_EQ(c.block_layers(1), 2);
  EXPECT_EQ(c.block_layers(3), 2);
  EXPECT_EQ(c.layers(), 11);
  c.step_mode = StepMode::lin_grow;
  EXPECT_EQ(c.block_layers(0), 5);
  EXPECT_EQ(c.block_layers(1), 3);
  EXPECT_EQ(c.block_layers(2), 5);
  EXPECT_EQ(c.block_layers(3), 7);
  EXPECT_EQ(c.layers(), 20);
}

TEST(Config, CheckNamesWhatCannotWork) {
  struct Bad {
    std::function<void(MsdnetConfig&)> change;
    std::string_view word;
  };
  const std::vector<Bad> all = {
      {[](MsdnetConfig& c) { c.blocks = 0; }, "blocks"},
      {[](MsdnetConfig& c) { c.blocks = -1; }, "blocks"},
      {[](MsdnetConfig& c) { c.step = 0; }, "step"},
      {[](MsdnetConfig& c) { c.base = 0; }, "base"},
      {[](MsdnetConfig& c) { c.init_channels = 0; }, "init-channels"},
      {[](MsdnetConfig& c) { c.growth_rate = -6; }, "growth-rate"},
      {[](MsdnetConfig& c) { c.classes = 0; }, "classes"},
      {[](MsdnetConfig& c) { c.image_size = 0; }, "image-size"},
      {[](MsdnetConfig& c) { c.growth_factors = c.bottleneck_factors = {}; }, "growth-factors"},
      {[](MsdnetConfig& c) {
         c.growth_factors = {1, 0, 4};
       },
       "growth-factors"},
      {[](MsdnetConfig& c) {
         c.growth_factors = {1, 2};
       },
       "bottleneck-factors"},
      {[](MsdnetConfig& c) {
         c.bottleneck_factors = {1, 2, 4, 4};
       },
       "bottleneck-factors"},
      {[](MsdnetConfig& c) {
         c.bottleneck_factors = {1, -2, 4};
       },
       "bottleneck-factors"},
      {[](MsdnetConfig& c) { c.reduction = -0.1; }, "reduction"},
      {[](MsdnetConfig& c) { c.reduction = 1.01; }, "reduction"},
      {[](MsdnetConfig& c) { c.reduction = std::nan(""); }, "reduction"},
      {[](MsdnetConfig& c) { c.reduction = INFINITY; }, "reduction"}};
  for (const Bad& bad : all) {
    MsdnetConfig c;
    bad.change(c);
    EXPECT_TRUE(throws<ConfigError>([&] { c.check(); }, {bad.word}));
    EXPECT_TRUE(throws<ConfigError>([&] { make_architecture(c); }, {bad.word}));
  }
}

// What a file may ask for: neither minutes nor sums that overflow.
TEST(Config, NetworksThatAreTooLarge) {
  MsdnetConfig c;
  c.blocks = c.step = c.base = 1000;
  c.step_mode = StepMode::lin_grow;
  EXPECT_TRUE(throws<ConfigError>([&] { c.check(); }, {"--blocks", "layers"}));
  c = {};
  c.init_channels = c.growth_rate = c.image_size = 65536;
  c.growth_factors = c.bottleneck_factors = {4096, 4096, 4096};
  EXPECT_TRUE(throws<ConfigError>([&] { make_architecture(c); }, {"mul-adds"}));
}

TEST(Config, CheckTakesTheEdges) {
  MsdnetConfig c;
  c.reduction = 0.0;
  c.check();
  c.reduction = 1.0;
  c.check();
  c.blocks = c.step = c.base = c.init_channels = c.growth_rate = c.classes = 1;
  c.growth_factors = c.bottleneck_factors = {1};
  c.check();
  c.bottleneck = false;
  c.bottleneck_factors = {};  // nobody reads them
  c.check();
}

TEST(ConfigJson, RoundTrips) {
  for (const Preset& preset : presets()) {
    EXPECT_EQ(json(preset.config).get<MsdnetConfig>(), preset.config) << preset.name;
  }
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    RandomStream random(seed, RandomPurpose::test);
    MsdnetConfig c = test::random_config(random);
    c.reduction = random.uniform();  // every digit survives
    const std::string text = json(c).dump();
    EXPECT_EQ(json::parse(text).get<MsdnetConfig>(), c) << text;
  }
}

TEST(ConfigJson, MissingKeysKeepTheirDefaults) {
  EXPECT_EQ(json::object().get<MsdnetConfig>(), MsdnetConfig{});
  MsdnetConfig c;
  c.blocks = 3;
  c.prune = PruneMode::min;
  EXPECT_EQ(json::parse(R"({"blocks": 3, "prune": "min"})").get<MsdnetConfig>(), c);
}

TEST(ConfigJson, UnknownKeysAreNamed) {
  EXPECT_TRUE(throws<ConfigError>(
      [] { json::parse(R"({"blocks": 3, "blokcs": 4})").get<MsdnetConfig>(); }, {"blokcs"}));
}

TEST(ConfigJson, WrongTypesAreConfigErrors) {
  const json good = MsdnetConfig{};
  const std::vector<json> wrong_integers = {"3", 2.5, true, nullptr, json::array({3}), 1e300};
  const std::vector<json> wrong_lists = {3,
                                         "1",
                                         json::array({"1", 2, 4}),
                                         json::array({1.5, 2, 4}),
                                         json::array({true, 2, 4}),
                                         json::object(),
                                         nullptr};
  const std::vector<json> wrong_flags = {1, "true", nullptr};
  const std::vector<json> wrong_names = {"other", "", 0, true, nullptr, json::array({"max"})};
  const std::vector<json> wrong_numbers = {"0.5", true, nullptr, json::array({0.5})};
  std::set<std::string> seen;
  const auto expect_refused = [&](const std::string& key, const std::vector<json>& values) {
    seen.insert(key);
    for (const json& value : values) {
      json bad = good;
      bad[key] = value;
      EXPECT_TRUE(throws<ConfigError>([&] { bad.get<MsdnetConfig>(); })) << key << " = " << value;
    }
  };
  for (const char* key :
       {"blocks", "step", "base", "init_channels", "growth_rate", "classes", "image_size"}) {
    expect_refused(key, wrong_integers);
  }
  for (const char* key : {"growth_factors", "bottleneck_factors"}) expect_refused(key, wrong_lists);
  for (const char* key : {"step_mode", "prune", "input_kind"}) expect_refused(key, wrong_names);
  expect_refused("bottleneck", wrong_flags);
  expect_refused("reduction", wrong_numbers);
  EXPECT_EQ(seen.size(), good.size());  // every key
  for (const char* text : {"[]", "3", "null", "\"cifar\""}) {
    EXPECT_TRUE(throws<ConfigError>([&] { json::parse(text).get<MsdnetConfig>(); })) << text;
  }
}

TEST(ConfigJson, ValuesAreChecked) {
  EXPECT_TRUE(throws<ConfigError>([] { json({{"blocks", 0}}).get<MsdnetConfig>(); }, {"blocks"}));
  const json huge = {{"blocks", std::uint64_t{1} << 63}};
  EXPECT_TRUE(throws<ConfigError>([&] { huge.get<MsdnetConfig>(); }, {"blocks"}));
}

TEST(ConfigHints, AreThoseThatWereSet) {
  ConfigHints hints;
  EXPECT_EQ(hints.options(), "");
  EXPECT_FALSE(hints.get(&MsdnetConfig::step).has_value());
  hints.set(&MsdnetConfig::step, 7).set(&MsdnetConfig::bottleneck, false);
  hints.set(&MsdnetConfig::growth_factors, {1, 2}).set(&MsdnetConfig::prune, PruneMode::min);
  EXPECT_EQ(hints.options(), "--step 7 --growth-factors 1-2 --no-bottleneck --prune min");
  EXPECT_EQ(hints.get(&MsdnetConfig::step), 7);
  MsdnetConfig written, expected;
  hints.apply_to(written);
  expected.step = 7, expected.bottleneck = false;
  expected.growth_factors = {1, 2}, expected.prune = PruneMode::min;
  EXPECT_EQ(written, expected);
  hints.forget(&MsdnetConfig::step).set(&MsdnetConfig::bottleneck, true);
  EXPECT_EQ(hints.options(), "--growth-factors 1-2 --bottleneck --prune min");
}

TEST(ConfigHints, KnowEveryField) {
  EXPECT_EQ(ConfigHints(MsdnetConfig()).options(),
            "--blocks 10 --step-mode even --step 2 --base 4 --init-channels 16 --growth-rate 6 "
            "--growth-factors 1-2-4 --bottleneck-factors 1-2-4 --bottleneck --prune max "
            "--reduction 0.5 --classes 10 --input-kind cifar --image-size 32");
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    RandomStream random(seed, RandomPurpose::test);
    const MsdnetConfig c = test::random_config(random);
    MsdnetConfig written;
    ConfigHints(c).apply_to(written);
    EXPECT_EQ(written, c) << json(c);
  }
}

TEST(ConfigHints, DifferencesLeadFromOneConfigurationToAnother) {
  const MsdnetConfig base = preset("cifar10-anytime10");
  EXPECT_EQ(ConfigHints::differences(base, base).options(), "");
  EXPECT_EQ(ConfigHints::differences(preset("cifar100-batch5"), base).options(),
            "--blocks 5 --step-mode lin_grow --step 1 --base 1 --classes 100");
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    RandomStream random(seed, RandomPurpose::test);
    const MsdnetConfig one = test::random_config(random), other = test::random_config(random);
    MsdnetConfig changed = one;
    ConfigHints::differences(other, one).apply_to(changed);
    EXPECT_EQ(changed, other) << json(one) << json(other);
  }
}

TEST(Presets, AreUsualForTheirDataSets) {
  const auto usual = [](std::string_view dataset) { return usual_preset(dataset)->name; };
  EXPECT_EQ(usual("cifar10"), "cifar10-anytime10");
  EXPECT_EQ(usual("cifar100"), "cifar100-anytime7");
  EXPECT_EQ(usual("imagenet"), "imagenet-k4");
  EXPECT_EQ(usual("synthetic"), "cifar10-quick");
  EXPECT_EQ(usual_preset("folder"), nullptr);
  EXPECT_EQ(usual_preset(""), nullptr);
}

TEST(Presets, HaveTheirNamesAndCanBeBuilt) {
  std::set<std::string_view> names;
  for (const Preset& p : presets()) {
    EXPECT_TRUE(names.insert(p.name).second) << p.name;
    EXPECT_FALSE(p.description.empty()) << p.name;
    EXPECT_EQ(make_architecture(p.config).exits(), p.config.blocks) << p.name;
    EXPECT_EQ(&preset(p.name), &preset(p.name)) << p.name;
    EXPECT_EQ(preset(p.name), p.config) << p.name;
  }
}

TEST(Presets, TheReferenceNetworksAreAmongThem) {
  EXPECT_EQ(preset("cifar10-tiny"), test::reference_config('H'));
  EXPECT_EQ(preset("cifar100-batch5"), test::reference_config('D'));
}

TEST(Presets, UnknownNamesAreAnsweredWithAllOfThem) {
  for (const char* name : {"", "cifar", "cifar10-tiny2"}) {
    EXPECT_TRUE(throws<ConfigError>([&] { preset(name); }, {name, "cifar10-tiny", "imagenet-k7"}));
  }
}

}  // namespace
}  // namespace msd
