// SPDX-License-Identifier: MIT
#include "engine/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "engine/random.h"
#include "engine/runtime.h"
#include "tests/support/errors.h"
#include "tests/support/tensors.h"

namespace msd {
namespace {

constexpr std::int64_t kSizes[] = {1, 7, 16, 33, 1000};

/// Parameters of odd sizes, so that the flat buffers have gaps; every second has no gradient.
ParameterSet make_parameters(Runtime& runtime, DType dtype) {
  ParameterSet set;
  for (const std::int64_t size : kSizes) {
    set.add_parameter("p" + std::to_string(size), {size}, ParameterLayout::plain);
  }
  set.allocate(runtime.allocator(), dtype);
  for (ParameterSet::Id id = 1; id < 5; id += 2) set.set_has_gradient(id, false);
  return set;
}

void set_element(const Tensor& flat, std::int64_t i, double value) {
  const auto at = static_cast<std::size_t>(i);
  if (flat.dtype() == DType::f64) {
    flat.span<double>()[at] = value;
  } else {
    flat.span<float>()[at] = static_cast<float>(value);
  }
}

void randomize(const Tensor& flat, std::uint64_t seed) {
  RandomStream random(seed, RandomPurpose::test);
  for (std::int64_t i = 0; i < flat.elems(); ++i) set_element(flat, i, random.uniform(-1.0, 1.0));
}

struct Case {
  SgdOptions options;
  DType dtype;
};

void follow_five_steps(const Case& c) {
  SCOPED_TRACE(message("momentum ", c.options.momentum, " nesterov ", c.options.nesterov, " decay ",
                       c.options.weight_decay, " ", name(c.dtype)));
  Runtime runtime;
  ParameterSet set = make_parameters(runtime, c.dtype);
  randomize(set.values(), 1);
  randomize(set.velocities(), 2);  // as after a resume
  const std::vector<double> mask = test::doubles(set.mask());
  std::vector<double> w = test::doubles(set.values()), v = test::doubles(set.velocities());
  const std::vector<double> w0 = w, v0 = v;
  Sgd sgd(runtime, set, c.options);
  for (std::uint64_t step = 0; step < 5; ++step) {
    const double lr = 0.1 / static_cast<double>(step + 1);
    randomize(set.gradients(), 10 + step);
    const std::vector<double> gradient = test::doubles(set.gradients());
    sgd.set_lr(lr);
    sgd.step();
    for (std::size_t i = 0; i < w.size(); ++i) {
      if (mask[i] == 0) continue;
      const double g = gradient[i] + c.options.weight_decay * w[i];
      v[i] = c.options.momentum * v[i] + g;
      w[i] -= lr * (c.options.nesterov ? g + c.options.momentum * v[i] : v[i]);
    }
  }
  // Five steps of five roundings each, values below 8: in float 25 * 6e-8 * 8 at worst.
  const double tolerance = c.dtype == DType::f64 ? 1e-14 : 1e-5;
  const std::vector<double> values = test::doubles(set.values());
  const std::vector<double> velocities = test::doubles(set.velocities());
  for (std::size_t i = 0; i < w.size(); ++i) {
    if (mask[i] == 0) {
      EXPECT_EQ(values[i], w0[i]) << i;
      EXPECT_EQ(velocities[i], v0[i]) << i;
    } else {
      EXPECT_NEAR(values[i], w[i], tolerance) << i;
      EXPECT_NEAR(velocities[i], v[i], tolerance) << i;
      EXPECT_NE(values[i], w0[i]) << i;
    }
  }
}

TEST(Sgd, FollowsPytorchsRuleInDouble) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const bool nesterov : {true, false}) {
      follow_five_steps({{0.9, nesterov, 1e-4}, dtype});
      follow_five_steps({{0.5, nesterov, 0.0}, dtype});
      follow_five_steps({{0.0, nesterov, 0.01}, dtype});
    }
  }
}

TEST(Sgd, DefaultsAreTheRecipes) {
  const SgdOptions options;
  EXPECT_EQ(options.momentum, 0.9);
  EXPECT_TRUE(options.nesterov);
  EXPECT_EQ(options.weight_decay, 1e-4);
}

TEST(Sgd, RefusesSettingsThatCannotLearn) {
  Runtime runtime;
  ParameterSet set = make_parameters(runtime, DType::f32);
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  for (const double momentum : {nan, infinity, -infinity, -0.1, 1.0, 1.5}) {
    const SgdOptions options = {.momentum = momentum, .nesterov = false, .weight_decay = 0};
    EXPECT_TRUE(test::throws<ConfigError>([&] { Sgd(runtime, set, options); }, {"--momentum"}));
  }
  for (const double decay : {nan, infinity, -infinity, -1e-4}) {
    const SgdOptions options = {.momentum = 0, .nesterov = false, .weight_decay = decay};
    EXPECT_TRUE(test::throws<ConfigError>([&] { Sgd(runtime, set, options); }, {"--weight-decay"}));
  }
}

TEST(Sgd, LeavesNaNsBehindTheMaskAlone) {
  Runtime runtime;
  ParameterSet set = make_parameters(runtime, DType::f32);
  randomize(set.gradients(), 3);
  const std::vector<double> mask = test::doubles(set.mask());
  for (std::size_t i = 0; i < mask.size(); ++i) {
    if (mask[i] != 0) continue;
    set_element(set.gradients(), static_cast<std::int64_t>(i),
                std::numeric_limits<double>::quiet_NaN());
  }
  Sgd sgd(runtime, set, {});
  sgd.set_lr(0.1);
  sgd.step();
  EXPECT_EQ(first_not_finite(runtime, set.values()), -1);
  EXPECT_EQ(first_not_finite(runtime, set.velocities()), -1);
}

TEST(FirstNotFinite, FindsTheFirst) {
  Runtime runtime(2);
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Tensor flat = Tensor::zeros(runtime.allocator(), {100003}, dtype);
    EXPECT_EQ(first_not_finite(runtime, flat), -1);
    set_element(flat, 5000, std::numeric_limits<float>::max());
    set_element(flat, 5001, std::numeric_limits<float>::denorm_min());
    EXPECT_EQ(first_not_finite(runtime, flat), -1);
    for (const std::int64_t at : {100002, 70001, 65536, 17, 0}) {
      set_element(flat, at,
                  at % 2 == 0 ? std::numeric_limits<double>::quiet_NaN()
                              : -std::numeric_limits<double>::infinity());
      EXPECT_EQ(first_not_finite(runtime, flat), at);
    }
  }
}

}  // namespace
}  // namespace msd
