// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "engine/parameters.h"
#include "engine/random.h"
#include "tests/support/errors.h"
#include "tests/support/tensors.h"

namespace msd {
namespace {

using test::make_tensor;
using test::throws;
using Tensors = std::map<std::string, Tensor>;

std::vector<double> random_values(std::int64_t count, std::uint64_t seed) {
  RandomStream random(seed, RandomPurpose::test);
  std::vector<double> values(static_cast<std::size_t>(count));
  // Multiples of 1/256: exact in float and double alike.
  for (double& value : values) value = static_cast<double>(random.below(1025) - 512) / 256;
  return values;
}

class LoadStateTest : public testing::Test {
 protected:
  void make(DType dtype) {
    set_ = ParameterSet();
    set_.add_parameter("conv", {4, 3, 3, 3}, ParameterLayout::conv);
    set_.add_parameter("linear", {5, 6}, ParameterLayout::plain);
    set_.add_statistic("mean", 4, 0.0);
    set_.add_counter("count");
    set_.allocate(allocator_, dtype);
  }

  static Tensors good(DType dtype) {
    return {{"conv", make_tensor({4, 3, 3, 3}, random_values(108, 1), dtype)},
            {"linear", make_tensor({5, 6}, random_values(30, 2), dtype)},
            {"mean", make_tensor({4}, random_values(4, 3), dtype)},
            {"count", test::make_counter(1234567890123)}};
  }

  /// Loading fails with these words, and leaves everything as it was.
  void expect_refused(const Tensors& tensors, std::initializer_list<std::string_view> words) {
    const Tensors before = test::by_name(set_.state());
    EXPECT_TRUE(throws<FormatError>([&] { set_.load_state(tensors, "some.file"); }, words));
    EXPECT_TRUE(test::identical(before, test::by_name(set_.state())));
  }

  SystemAllocator allocator_;
  ParameterSet set_;
};

TEST_F(LoadStateTest, RoundTripsEveryPairOfTypes) {
  for (const DType own : {DType::f32, DType::f64}) {
    for (const DType file : {DType::f32, DType::f64}) {
      make(own);
      set_.load_state(good(file), "some.file");
      EXPECT_TRUE(test::identical(test::by_name(set_.state()), good(own)));
    }
  }
}

TEST_F(LoadStateTest, WhatIsMissingIsNamed) {
  make(DType::f32);
  for (const char* name : {"conv", "linear", "mean", "count"}) {
    Tensors tensors = good(DType::f32);
    tensors.erase(name);
    expect_refused(tensors, {"some.file", name});
  }
}

TEST_F(LoadStateTest, WhatIsUnknownIsNamedUnlessIgnored) {
  make(DType::f32);
  Tensors tensors = good(DType::f32);
  tensors["velocity/conv"] = make_tensor({1}, {1.0});
  expect_refused(tensors, {"some.file", "velocity/conv"});
  set_.load_state(tensors, "some.file", {"other/", "velocity/"});
  EXPECT_TRUE(test::identical(test::by_name(set_.state()), good(DType::f32)));
  tensors["stranger"] = make_tensor({1}, {1.0});
  EXPECT_TRUE(throws<FormatError>([&] { set_.load_state(tensors, "some.file", {"velocity/"}); },
                                  {"stranger"}));
}

TEST_F(LoadStateTest, ANameInPlaceOfAnotherIsRefused) {
  make(DType::f32);
  Tensors tensors = good(DType::f32);
  tensors["Linear"] = tensors["linear"];
  tensors.erase("linear");
  expect_refused(tensors, {"linear"});
}

TEST_F(LoadStateTest, AnotherShapeIsRefusedAndBothAreShown) {
  make(DType::f32);
  Tensors tensors = good(DType::f32);
  tensors["conv"] = make_tensor({3, 4, 3, 3}, random_values(108, 1));
  expect_refused(tensors, {"some.file", "conv", "[3,4,3,3]", "[4,3,3,3]"});
  tensors = good(DType::f32);
  tensors["linear"] = make_tensor({30}, random_values(30, 2));
  expect_refused(tensors, {"linear"});
  tensors = good(DType::f32);
  tensors["mean"] = make_tensor({5}, random_values(5, 2));
  expect_refused(tensors, {"mean"});
  tensors = good(DType::f32);
  tensors["count"] = Tensor::zeros(allocator_, {2}, DType::i64);
  expect_refused(tensors, {"count"});
}

TEST_F(LoadStateTest, AnotherTypeIsRefused) {
  make(DType::f32);
  Tensors tensors = good(DType::f32);
  tensors["linear"] = Tensor::zeros(allocator_, {5, 6}, DType::i32);
  expect_refused(tensors, {"linear"});
  tensors = good(DType::f32);
  tensors["count"] = make_tensor({}, {3.0});
  expect_refused(tensors, {"count"});
}

TEST_F(LoadStateTest, WhatIsNotFiniteIsRefused) {
  make(DType::f64);
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity(),
                           -std::numeric_limits<double>::infinity()}) {
    for (const char* name : {"conv", "linear", "mean"}) {
      for (const DType file : {DType::f32, DType::f64}) {
        Tensors tensors = good(file);
        std::vector<double> values = test::doubles(tensors[name]);
        values.back() = bad;
        tensors[name] = make_tensor(tensors[name].shape(), values, file);
        expect_refused(tensors, {"some.file", name});
      }
    }
  }
}

TEST_F(LoadStateTest, WhatDoesNotFitInFloatIsRefused) {
  make(DType::f32);
  Tensors tensors = good(DType::f64);
  std::vector<double> values = test::doubles(tensors["linear"]);
  values[7] = 1e300;  // finite in the file, infinite in a float network
  tensors["linear"] = make_tensor({5, 6}, values, DType::f64);
  expect_refused(tensors, {"some.file", "linear"});
}

TEST_F(LoadStateTest, VelocitiesRoundTrip) {
  make(DType::f32);
  const Tensors tensors = {{"v/conv", make_tensor({4, 3, 3, 3}, random_values(108, 7))},
                           {"v/linear", make_tensor({5, 6}, random_values(30, 8))},
                           {"conv", make_tensor({1}, {1.0})}};
  set_.load_velocities(tensors, "v/", "some.file");
  const Tensors out = test::by_name(set_.velocities_by_name("v/"));
  EXPECT_EQ(test::bytes(out.at("v/conv")), test::bytes(tensors.at("v/conv")));
  EXPECT_EQ(test::bytes(out.at("v/linear")), test::bytes(tensors.at("v/linear")));
  for (const double value : test::doubles(set_.values())) EXPECT_EQ(value, 0.0);
}

TEST_F(LoadStateTest, MissingVelocitiesBecomeZero) {
  make(DType::f32);
  const Tensors both = {{"v/conv", make_tensor({4, 3, 3, 3}, random_values(108, 7))},
                        {"v/linear", make_tensor({5, 6}, random_values(30, 8))}};
  set_.load_velocities(both, "v/", "some.file");
  set_.load_velocities({{"v/linear", both.at("v/linear")}}, "v/", "some.file");
  const Tensors out = test::by_name(set_.velocities_by_name("v/"));
  EXPECT_EQ(test::doubles(out.at("v/conv")), std::vector<double>(108, 0.0));
  EXPECT_EQ(test::bytes(out.at("v/linear")), test::bytes(both.at("v/linear")));
}

TEST_F(LoadStateTest, BadVelocitiesAreNamed) {
  make(DType::f32);
  const auto load = [&](const Tensor& linear) {
    return [this, linear] { set_.load_velocities({{"v/linear", linear}}, "v/", "some.file"); };
  };
  EXPECT_TRUE(throws<FormatError>(load(make_tensor({6, 5}, random_values(30, 8))),
                                  {"some.file", "v/linear", "[6,5]"}));
  std::vector<double> values = random_values(30, 8);
  values[3] = std::nan("");
  EXPECT_TRUE(throws<FormatError>(load(make_tensor({5, 6}, values)), {"some.file", "v/linear"}));
}

}  // namespace
}  // namespace msd
