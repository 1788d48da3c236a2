// SPDX-License-Identifier: MIT
#include "models/network/network.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "engine/files/safetensors.h"
#include "tests/models/fixtures.h"
#include "tests/models/naive_network.h"
#include "tests/support/allocators.h"
#include "tests/support/tensors.h"

namespace msd {
namespace {

using Shapes = std::map<std::string, std::vector<std::int64_t>>;
using test::Tensors;

Shapes shapes_of(const Tensors& tensors) {
  Shapes shapes;
  for (const auto& [name, tensor] : tensors) shapes[name] = tensor.shape();
  return shapes;
}

class NetworkTest : public testing::Test {
 protected:
  Tensors state_of(const Network& network) { return test::by_name(network.parameters().state()); }
  SystemAllocator allocator_;
};

TEST_F(NetworkTest, NamesAndShapesOfTheFixtures) {
  for (const std::string& name : test::fixture_names()) {
    const test::Fixture fixture(name);
    const Network network(fixture.config(), allocator_);
    EXPECT_EQ(shapes_of(state_of(network)), shapes_of(fixture.state())) << name;
  }
}

TEST_F(NetworkTest, NamesAndShapesOfTheReference) {
  MSD_NEED_REFERENCE("H_state.safetensors", "D_state.safetensors", "I_state.safetensors");
  for (const char letter : {'H', 'D', 'I'}) {
    const auto path = test::reference_file(std::string(1, letter) + "_state.safetensors");
    const Network network(test::reference_config(letter), allocator_);
    EXPECT_EQ(shapes_of(state_of(network)), shapes_of(read_safetensors(path).tensors)) << letter;
  }
}

TEST_F(NetworkTest, NamesAndShapesOfRandomConfigurations) {
  for (std::uint64_t seed = 1000; seed < 1100; ++seed) {
    RandomStream random(seed, RandomPurpose::test);
    const MsdnetConfig config = test::random_config(random);
    try {
      make_architecture(config);
    } catch (const ConfigError&) {
      continue;
    }
    const Network network(config, allocator_);
    EXPECT_EQ(shapes_of(state_of(network)), test::NaiveNetwork(config).state) << "seed " << seed;
  }
}

TEST_F(NetworkTest, ParametersLieInExecutionOrder) {
  // Block 1, its exit, block 2, ...: what stage k needs is in front of what stage k+1 needs.
  const Network network(preset("cifar10-tiny"), allocator_);
  const ParameterSet& set = network.parameters();
  std::int64_t place = 0;  // 2*block, odd for a classifier
  for (std::size_t i = 0; i < set.parameter_count(); ++i) {
    const std::string& name = set.parameter_name(static_cast<ParameterSet::Id>(i));
    const bool classifier = name.starts_with("classifier.");
    const std::int64_t block = std::stoll(name.substr(name.find('.') + 1));
    EXPECT_GE(2 * block + (classifier ? 1 : 0), place) << name;
    place = 2 * block + (classifier ? 1 : 0);
  }
  EXPECT_EQ(place, 5);
}

TEST_F(NetworkTest, IdsBelongToTheirOperations) {
  const Network network(preset("imagenet-k4"), allocator_);
  const ParameterSet& set = network.parameters();
  for (std::size_t i = 0; i < network.architecture().operations.size(); ++i) {
    const Operation& op = network.architecture().operations[i];
    const Network::OperationParameters& ids = network.of(i);
    const auto expect = [&](ParameterSet::Id id, bool there, const std::string& name) {
      ASSERT_EQ(id >= 0, there) << name;
      if (there) {
        EXPECT_EQ(set.parameter_name(id), name);
      }
    };
    const auto* conv = std::get_if<Convolution>(&op.kind);
    const bool linear = std::holds_alternative<Linear>(op.kind);
    expect(ids.weight, conv != nullptr || linear, op.name + ".weight");
    expect(ids.bias, linear || (conv != nullptr && conv->has_bias), op.name + ".bias");
    const std::string batchnorm = conv != nullptr ? conv->batchnorm_name : "";
    expect(ids.gamma, conv != nullptr, batchnorm + ".weight");
    expect(ids.beta, conv != nullptr, batchnorm + ".bias");
    EXPECT_EQ(ids.running_mean >= 0 && ids.running_var >= 0 && ids.batches_tracked >= 0,
              conv != nullptr);
  }
}

TEST_F(NetworkTest, StartsAtZeroWithFreshStatistics) {
  test::PoisonAllocator poison(allocator_);
  const Network network(preset("cifar10-tiny"), poison);
  for (const auto& [name, tensor] : state_of(network)) {
    const double expected = name.ends_with("running_var") ? 1.0 : 0.0;
    for (const double value : test::doubles(tensor)) ASSERT_EQ(value, expected) << name;
  }
  EXPECT_EQ(network.dtype(), DType::f32);
}

struct Moments {
  double mean = 0.0, deviation = 0.0, largest = 0.0;
  double count = 0.0;
};

Moments moments(const std::vector<double>& values) {
  Moments m;
  m.count = static_cast<double>(values.size());
  for (const double v : values) {
    m.mean += v / m.count;
    m.largest = std::max(m.largest, std::abs(v));
  }
  for (const double v : values) m.deviation += (v - m.mean) * (v - m.mean) / m.count;
  m.deviation = std::sqrt(m.deviation);
  return m;
}

TEST_F(NetworkTest, InitializesAsThePaperSays) {
  for (const Initialization how : {Initialization::he_fan_out, Initialization::he_fan_in}) {
    Network network(preset("imagenet-k4"), allocator_);
    network.initialize(7, how);
    for (const auto& [name, tensor] : state_of(network)) {
      SCOPED_TRACE(name);
      const std::vector<std::int64_t>& shape = tensor.shape();
      const Moments m = moments(test::doubles(tensor));
      // Six standard errors of the mean and of the deviation.
      const double slack = 6.0 / std::sqrt(m.count);
      if (shape.size() == 4) {
        const std::int64_t fan =
            shape[2] * shape[3] * (how == Initialization::he_fan_out ? shape[0] : shape[1]);
        const double deviation = std::sqrt(2.0 / static_cast<double>(fan));
        EXPECT_NEAR(m.mean, 0.0, slack * deviation);
        EXPECT_NEAR(m.deviation, deviation, slack * deviation);
        // 4.8 standard deviations: normal, not uniform, where there are enough to tell.
        if (m.count > 10000) {
          EXPECT_GT(m.largest, 3.0 * deviation);
        }
      } else if (shape.size() == 2 || name == "blocks.0.0.layers.0.0.bias") {
        const double fan_in = shape.size() == 2 ? static_cast<double>(shape[1]) : 3 * 7 * 7;
        const double bound = 1.0 / std::sqrt(fan_in);
        EXPECT_LE(m.largest, bound * (1 + 1e-7));  // rounded to float
        EXPECT_GT(m.largest, 0.8 * bound);
        EXPECT_NEAR(m.mean, 0.0, slack * bound / std::sqrt(3.0));
      } else if (name.ends_with("num_batches_tracked")) {
        EXPECT_EQ(m.largest, 0.0);
      } else {  // a batch norm's, or a linear bias
        const bool one = name.ends_with(".weight") || name.ends_with(".running_var");
        EXPECT_NEAR(m.mean, one ? 1.0 : 0.0, 1e-12);  // the test's own rounding
        EXPECT_LT(m.deviation, 1e-12);
      }
    }
  }
}

TEST_F(NetworkTest, TheSameSeedGivesTheSameBits) {
  Network a(preset("cifar10-tiny"), allocator_), b(preset("cifar10-tiny"), allocator_);
  a.initialize(5);
  b.initialize(4);
  EXPECT_FALSE(test::identical(state_of(a), state_of(b)));
  b.initialize(5);
  EXPECT_TRUE(test::identical(state_of(a), state_of(b)));
}

TEST_F(NetworkTest, NoTwoParametersStartAlike) {
  Network network(preset("cifar10-tiny"), allocator_);
  network.initialize(5);
  std::map<double, std::string> first;
  for (const auto& [name, tensor] : state_of(network)) {
    if (tensor.dim() < 2) continue;
    const auto [at, inserted] = first.emplace(test::doubles(tensor)[0], name);
    EXPECT_TRUE(inserted) << name << " begins as " << at->second;
  }
}

}  // namespace
}  // namespace msd
