// SPDX-License-Identifier: MIT
#include "engine/parameters.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "engine/random.h"
#include "tests/support/allocators.h"
#include "tests/support/tensors.h"

namespace msd {
namespace {

using Id = ParameterSet::Id;
using Shape = std::vector<std::int64_t>;

class ParametersTest : public testing::TestWithParam<DType> {
 protected:
  void SetUp() override { set_.allocate(allocator_, GetParam()); }

  double at(const void* p, std::int64_t i) const {
    return GetParam() == DType::f64 ? static_cast<const double*>(p)[i]
                                    : static_cast<double>(static_cast<const float*>(p)[i]);
  }

  SystemAllocator system_;
  test::PoisonAllocator allocator_{system_};
  ParameterSet set_;
  Id conv_ = set_.add_parameter("a.conv", {5, 3, 2, 2}, ParameterLayout::conv);
  Id mean_ = set_.add_statistic("a.mean", 5, 0.0);
  Id var_ = set_.add_statistic("a.var", 7, 1.0);
  Id counter_ = set_.add_counter("a.counter");
  Id linear_ = set_.add_parameter("b.linear", {4, 9}, ParameterLayout::plain);
  Id bias_ = set_.add_parameter("b.bias", {1}, ParameterLayout::plain);
};

INSTANTIATE_TEST_SUITE_P(Types, ParametersTest, testing::Values(DType::f32, DType::f64),
                         [](const auto& test) { return std::string(name(test.param)); });

TEST_P(ParametersTest, CountsAndNames) {
  EXPECT_EQ(set_.dtype(), GetParam());
  EXPECT_EQ(set_.parameter_count(), 3u);
  EXPECT_EQ(set_.parameter_elems(), 60 + 36 + 1);
  EXPECT_GE(set_.flat_elems(), set_.parameter_elems());
  EXPECT_EQ(set_.parameter_name(conv_), "a.conv");
  EXPECT_EQ(set_.parameter_name(bias_), "b.bias");
  EXPECT_EQ(set_.parameter_shape(conv_), (Shape{5, 3, 2, 2}));
}

TEST_P(ParametersTest, StartZeroedOverPoison) {
  for (const Tensor& flat : {set_.values(), set_.gradients(), set_.velocities()}) {
    EXPECT_EQ(flat.elems(), set_.flat_elems());
    for (const double value : test::doubles(flat)) EXPECT_EQ(value, 0.0);
  }
  for (std::int64_t i = 0; i < 5; ++i) EXPECT_EQ(at(set_.statistic(mean_), i), 0.0);
  for (std::int64_t i = 0; i < 7; ++i) EXPECT_EQ(at(set_.statistic(var_), i), 1.0);
  EXPECT_EQ(set_.counter(counter_), 0);
}

TEST_P(ParametersTest, LieInOrderInOneBufferAt64Bytes) {
  const auto* first = static_cast<const std::byte*>(set_.values().data());
  const auto* gradients = static_cast<const std::byte*>(set_.gradients().data());
  std::ptrdiff_t end = 0;
  const std::vector<std::int64_t> sizes = {60, 36, 1};
  std::vector<bool> owned(static_cast<std::size_t>(set_.flat_elems()), false);
  for (Id id = conv_; id <= bias_; ++id) {
    const std::ptrdiff_t offset = static_cast<const std::byte*>(set_.value(id)) - first;
    EXPECT_EQ(offset % 64, 0);
    EXPECT_GE(offset, end);
    EXPECT_EQ(static_cast<const std::byte*>(set_.gradient(id)) - gradients, offset);
    const std::int64_t elems = sizes[static_cast<std::size_t>(id)];
    for (std::int64_t i = 0; i < elems; ++i) {
      const std::int64_t element = offset / size_bytes(GetParam()) + i;
      EXPECT_EQ(set_.name_of_element(element), set_.parameter_name(id));
      owned[static_cast<std::size_t>(element)] = true;
    }
    end = offset + elems * size_bytes(GetParam());
  }
  EXPECT_LE(end, set_.flat_elems() * size_bytes(GetParam()));
  const auto mask = set_.mask().span<std::uint8_t>();
  ASSERT_EQ(mask.size(), owned.size());
  for (std::size_t i = 0; i < owned.size(); ++i) EXPECT_EQ(mask[i], owned[i] ? 1 : 0) << i;
}

TEST_P(ParametersTest, MaskFollowsTheGradients) {
  EXPECT_TRUE(set_.has_gradient(conv_) && set_.has_gradient(linear_) && set_.has_gradient(bias_));
  set_.set_has_gradient(linear_, false);
  EXPECT_FALSE(set_.has_gradient(linear_));
  EXPECT_TRUE(set_.has_gradient(conv_) && set_.has_gradient(bias_));
  double ones = 0;
  for (const double m : test::doubles(set_.mask())) ones += m;
  EXPECT_EQ(ones, 61);
  const auto names = test::gradients_of(set_, "grad/");
  EXPECT_EQ(names.size(), 2u);
  EXPECT_TRUE(names.contains("grad/a.conv") && names.contains("grad/b.bias"));
  EXPECT_EQ(set_.velocities_by_name("v/").size(), 2u);
  set_.set_has_gradient(linear_, true);
  EXPECT_TRUE(set_.has_gradient(linear_));
  EXPECT_EQ(test::gradients_of(set_).size(), 3u);
}

std::vector<double> rising(std::int64_t count) {
  std::vector<double> values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(static_cast<double>(i) + 0.5);
  return values;
}

TEST_P(ParametersTest, ConvolutionsTurnFromOihwToOhwi) {
  set_.set_parameter(conv_, rising(60));
  for (std::int64_t o = 0; o < 5; ++o) {
    for (std::int64_t c = 0; c < 3; ++c) {
      for (std::int64_t y = 0; y < 2; ++y) {
        for (std::int64_t x = 0; x < 2; ++x) {
          const std::int64_t file = ((o * 3 + c) * 2 + y) * 2 + x;
          const std::int64_t memory = ((o * 2 + y) * 2 + x) * 3 + c;
          EXPECT_EQ(at(set_.value(conv_), memory), static_cast<double>(file) + 0.5);
        }
      }
    }
  }
  EXPECT_EQ(test::doubles(test::by_name(set_.state()).at("a.conv")), rising(60));
}

TEST_P(ParametersTest, PlainOnesStayAsTheyAre) {
  set_.set_parameter(linear_, rising(36));
  for (std::int64_t i = 0; i < 36; ++i) {
    EXPECT_EQ(at(set_.value(linear_), i), static_cast<double>(i) + 0.5);
  }
  EXPECT_THROW(set_.set_parameter(linear_, rising(35)), ShapeError);
}

TEST_P(ParametersTest, GradientsComeOutInPytorchsOrder) {
  // Memory order in, file order out: element (o,y,x,c) holds its own position.
  auto* gradient = set_.gradient(conv_);
  for (std::int64_t i = 0; i < 60; ++i) {
    if (GetParam() == DType::f64) {
      static_cast<double*>(gradient)[i] = static_cast<double>(i);
    } else {
      static_cast<float*>(gradient)[i] = static_cast<float>(i);
    }
  }
  const Tensor out = test::gradients_of(set_, "g/").at("g/a.conv");
  EXPECT_EQ(out.shape(), (Shape{5, 3, 2, 2}));
  const std::vector<double> values = test::doubles(out);
  for (std::int64_t o = 0; o < 5; ++o) {
    for (std::int64_t c = 0; c < 3; ++c) {
      for (std::int64_t t = 0; t < 4; ++t) {
        EXPECT_EQ(values[static_cast<std::size_t>((o * 3 + c) * 4 + t)], (o * 4 + t) * 3 + c);
      }
    }
  }
}

TEST_P(ParametersTest, StateHoldsEverythingWithPytorchsShapes) {
  set_.counter(counter_) = 42;
  const auto state = test::by_name(set_.state());
  ASSERT_EQ(state.size(), 6u);
  EXPECT_EQ(state.at("a.conv").shape(), (Shape{5, 3, 2, 2}));
  EXPECT_EQ(state.at("b.linear").shape(), (Shape{4, 9}));
  EXPECT_EQ(state.at("b.bias").shape(), (Shape{1}));
  EXPECT_EQ(state.at("a.mean").shape(), (Shape{5}));
  EXPECT_EQ(state.at("a.var").shape(), (Shape{7}));
  EXPECT_EQ(state.at("a.counter").shape(), (Shape{}));
  EXPECT_EQ(state.at("a.counter").dtype(), DType::i64);
  EXPECT_EQ(test::doubles(state.at("a.counter")), std::vector<double>{42});
  for (const auto& [name, tensor] : state) {
    EXPECT_TRUE(tensor.is_contiguous()) << name;
    if (name != "a.counter") {
      EXPECT_EQ(tensor.dtype(), GetParam()) << name;
    }
  }
}

TEST_P(ParametersTest, StateIsACopy) {
  const auto before = test::by_name(set_.state());
  set_.set_parameter(linear_, rising(36));
  EXPECT_EQ(test::doubles(before.at("b.linear")), std::vector<double>(36, 0.0));
}

TEST(Parameters, OnlyFloatingTypes) {
  SystemAllocator allocator;
  ParameterSet set;
  set.add_parameter("p", {3}, ParameterLayout::plain);
  EXPECT_THROW(set.allocate(allocator, DType::bf16), ShapeError);
  EXPECT_THROW(set.allocate(allocator, DType::i32), ShapeError);
}

TEST(Parameters, AnEmptySetWorks) {
  SystemAllocator allocator;
  ParameterSet set;
  set.allocate(allocator, DType::f32);
  EXPECT_TRUE(set.state().empty());
  set.load_state({}, "nowhere");
  EXPECT_THROW(set.name_of_element(0), ShapeError);
}

}  // namespace
}  // namespace msd
