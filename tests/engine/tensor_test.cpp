// SPDX-License-Identifier: MIT
#include "engine/tensor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "tests/support/allocators.h"
#include "tests/support/errors.h"

namespace msd {
namespace {

using Shape = std::vector<std::int64_t>;
using test::throws;

class TensorTest : public testing::Test {
 protected:
  SystemAllocator system_;
  test::StatisticsAllocator allocator_{system_};
};

/// 0, 1, 2, ... in memory order.
Tensor counting(Allocator& allocator, Shape shape) {
  Tensor t = Tensor::empty(allocator, std::move(shape), DType::i32);
  std::iota(t.span<std::int32_t>().begin(), t.span<std::int32_t>().end(), 0);
  return t;
}

using BufferTest = TensorTest;

TEST_F(BufferTest, GivesItsBytesBack) {
  {
    const Buffer buffer(allocator_, 100);
    EXPECT_EQ(buffer.size_bytes(), 100);
    EXPECT_NE(buffer.data(), nullptr);
    EXPECT_EQ(allocator_.current_bytes(), 100);
  }
  EXPECT_EQ(allocator_.current_bytes(), 0);
}

TEST_F(BufferTest, MovesItsOwnership) {
  Buffer a(allocator_, 100);
  std::byte* data = a.data();
  Buffer b(std::move(a));
  EXPECT_EQ(b.data(), data);
  EXPECT_EQ(b.size_bytes(), 100);
  {
    Buffer c(allocator_, 28);
    c = std::move(b);
    EXPECT_EQ(c.data(), data);
    EXPECT_EQ(c.size_bytes(), 100);
    EXPECT_EQ(allocator_.allocations(), 2);
  }
  Buffer empty;
  EXPECT_EQ(empty.size_bytes(), 0);
  b = std::move(empty);
  EXPECT_LE(allocator_.current_bytes(), 28);  // c's 100 are back
}

TEST_F(TensorTest, UndefinedHasNoMemory) {
  const Tensor t;
  EXPECT_FALSE(t.defined());
  EXPECT_EQ(t.data(), nullptr);
}

TEST_F(TensorTest, EmptyIsRowMajorAndOfItsSize) {
  const Tensor t = Tensor::empty(allocator_, {2, 3, 5}, DType::f64);
  EXPECT_TRUE(t.defined());
  EXPECT_EQ(t.shape(), (Shape{2, 3, 5}));
  EXPECT_EQ(t.strides(), (Shape{15, 5, 1}));
  EXPECT_EQ(t.dim(), 3);
  EXPECT_EQ(t.elems(), 30);
  EXPECT_EQ(t.dtype(), DType::f64);
  EXPECT_TRUE(t.is_contiguous());
  EXPECT_EQ(allocator_.current_bytes(), 240);
}

TEST_F(TensorTest, ScalarsHaveOneElementAndEmptyShapesNone) {
  const Tensor scalar = Tensor::empty(allocator_, {}, DType::f32);
  EXPECT_EQ(scalar.elems(), 1);
  EXPECT_EQ(scalar.span<float>().size(), 1u);
  const Tensor none = Tensor::zeros(allocator_, {4, 0, 3}, DType::f32);
  EXPECT_EQ(none.elems(), 0);
  EXPECT_TRUE(none.span<float>().empty());
  EXPECT_THROW(Tensor::empty(allocator_, {2, -1}, DType::f32), ShapeError);
}

TEST_F(TensorTest, ZerosAreZeroOverPoison) {
  test::PoisonAllocator poison(allocator_);
  const Tensor zeros = Tensor::zeros(poison, {7, 9}, DType::f32);
  for (const float value : zeros.span<float>()) EXPECT_EQ(value, 0.0f);
}

TEST_F(TensorTest, CopiesShareTheMemoryAndTheLastOneFreesIt) {
  Tensor a = counting(allocator_, {4});
  {
    const Tensor b = a;
    b.span<std::int32_t>()[2] = 77;
    EXPECT_EQ(a.span<std::int32_t>()[2], 77);
    a = Tensor();
    EXPECT_EQ(allocator_.current_bytes(), 16);
    EXPECT_EQ(b.span<std::int32_t>()[2], 77);
  }
  EXPECT_EQ(allocator_.current_bytes(), 0);
}

TEST_F(TensorTest, SlicesShareTheMemoryAndKeepItAlive) {
  Tensor slice;
  {
    const Tensor t = counting(allocator_, {4, 3});
    slice = t.slice(0, 1, 2);
  }
  EXPECT_EQ(slice.shape(), (Shape{2, 3}));
  EXPECT_TRUE(slice.is_contiguous());
  const auto values = slice.span<std::int32_t>();
  EXPECT_EQ(std::vector<std::int32_t>(values.begin(), values.end()),
            (std::vector<std::int32_t>{3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(allocator_.current_bytes(), 48);
}

TEST_F(TensorTest, SlicesOfSlicesAlongEveryAxis) {
  const Tensor t = counting(allocator_, {3, 4, 5});
  const Tensor s = t.slice(0, 1, 2).slice(1, 1, 3).slice(2, 2, 2).slice(1, 2, 1);
  EXPECT_EQ(s.shape(), (Shape{2, 1, 2}));
  EXPECT_EQ(s.strides(), t.strides());
  EXPECT_FALSE(s.is_contiguous());
  EXPECT_EQ(*static_cast<std::int32_t*>(s.data()), (1 * 4 + 3) * 5 + 2);
  EXPECT_THROW(s.span<std::int32_t>(), ShapeError);
}

TEST_F(TensorTest, SliceChecksItsRange) {
  const Tensor t = counting(allocator_, {3, 4});
  EXPECT_THROW(t.slice(2, 0, 1), ShapeError);
  EXPECT_THROW(t.slice(-1, 0, 1), ShapeError);
  EXPECT_THROW(t.slice(0, 2, 2), ShapeError);
  EXPECT_THROW(t.slice(1, -1, 2), ShapeError);
  EXPECT_THROW(t.slice(1, 0, -1), ShapeError);
  EXPECT_EQ(t.slice(1, 4, 0).elems(), 0);
}

TEST_F(TensorTest, SpanChecksItsType) {
  EXPECT_TRUE(throws<ShapeError>([&] { counting(allocator_, {3}).span<float>(); }, {"i32"}));
}

TEST_F(TensorTest, OverBytesThatBelongToSomethingElse) {
  auto values = std::make_shared<std::vector<std::int32_t>>(12);
  std::iota(values->begin(), values->end(), 0);
  const std::weak_ptr<std::vector<std::int32_t>> alive = values;
  auto* bytes = reinterpret_cast<std::byte*>(values->data());
  {
    auto buffer = std::make_shared<Buffer>(std::move(values), bytes, 48);
    const Tensor t = Tensor::over(buffer, 1, {2, 3, 0}, {6, 1, 1}, DType::i32);
    EXPECT_EQ(t.elems(), 0);
    const Tensor columns = Tensor::over(buffer, 1, {3, 2}, {2, 5}, DType::i32);
    EXPECT_FALSE(columns.is_contiguous());
    const Tensor packed = columns.contiguous();
    EXPECT_TRUE(packed.is_contiguous());
    const std::vector<std::int32_t> expected = {1, 6, 3, 8, 5, 10};
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), packed.span<std::int32_t>().begin()));
    const Tensor repeated = Tensor::over(buffer, 11, {2, 2}, {0, 0}, DType::i32).contiguous();
    EXPECT_EQ(repeated.span<std::int32_t>()[3], 11);
    EXPECT_EQ(Tensor::over(buffer, 4, {8}, {1}, DType::i32).contiguous().data(), bytes + 16);
    EXPECT_FALSE(alive.expired());
  }
  EXPECT_TRUE(alive.expired());
}

TEST_F(TensorTest, OverRefusesWhatLiesOutside) {
  const auto buffer = std::make_shared<Buffer>(allocator_, 47);  // 11 elements and a rest
  constexpr std::int64_t kHuge = std::int64_t{1} << 62;
  const auto over = [&](std::int64_t offset, Shape shape, Shape strides) {
    return throws<ShapeError>(
        [&] { Tensor::over(buffer, offset, std::move(shape), std::move(strides), DType::i32); });
  };
  EXPECT_FALSE(over(0, {11}, {1}));
  EXPECT_TRUE(over(0, {12}, {1}));
  EXPECT_TRUE(over(1, {11}, {1}));
  EXPECT_TRUE(over(-1, {1}, {1}));
  EXPECT_TRUE(over(12, {0}, {1}));
  EXPECT_TRUE(over(0, {2, 2}, {6, 5}));
  EXPECT_TRUE(over(5, {2}, {-1}));
  EXPECT_TRUE(over(0, {-1}, {1}));
  EXPECT_TRUE(over(0, {3}, {kHuge}));
  EXPECT_TRUE(over(0, {2, 2}, {kHuge, kHuge}));
  EXPECT_TRUE(over(kHuge, {}, {}));
  EXPECT_TRUE(over(0, {1}, {}));
}

// IEEE 754 binary16, table values:
// https://en.wikipedia.org/wiki/Half-precision_floating-point_format
TEST(Half, KnownValues) {
  struct Case {
    double value;
    std::uint16_t bits;
  };
  for (const Case& c :
       {Case{0.0, 0x0000}, Case{-0.0, 0x8000}, Case{1.0, 0x3C00}, Case{-2.0, 0xC000},
        Case{65504.0, 0x7BFF}, Case{0.000060975552, 0x03FF}, Case{0.00006103515625, 0x0400},
        Case{0.000000059604645, 0x0001}, Case{0.33325195, 0x3555}, Case{0.99951172, 0x3BFF}}) {
    EXPECT_NEAR(load_element(&c.bits, DType::f16, 0), c.value, 1e-8 * std::abs(c.value) + 1e-14);
    std::uint16_t stored = 0;
    store_element(&stored, DType::f16, 0, c.value);
    EXPECT_EQ(stored, c.bits) << c.value;
  }
}

TEST(Half, StoringRoundsTiesToEvenAndOverflowsToInfinity) {
  const auto stored = [](double value) {
    std::uint16_t bits = 0;
    store_element(&bits, DType::f16, 0, value);
    return bits;
  };
  EXPECT_EQ(stored(1.0 + 1.0 / 2048), 0x3C00);
  EXPECT_EQ(stored(1.0 + 3.0 / 2048), 0x3C02);
  EXPECT_EQ(stored(1.0 + 1.1 / 2048), 0x3C01);
  EXPECT_EQ(stored(2.0 - 1.0 / 4096), 0x4000);  // a carry into the exponent
  EXPECT_EQ(stored(std::ldexp(1.0, -25)), 0x0000);
  EXPECT_EQ(stored(std::ldexp(1.5, -24)), 0x0002);
  EXPECT_EQ(stored(1e-300), 0x0000);
  EXPECT_EQ(stored(65519.99), 0x7BFF);
  EXPECT_EQ(stored(65520.0), 0x7C00);
  EXPECT_EQ(stored(-std::numeric_limits<double>::infinity()), 0xFC00);
  EXPECT_TRUE(std::isnan([&] {
    const std::uint16_t bits = stored(std::nan(""));
    return load_element(&bits, DType::f16, 0);
  }()));
}

TEST(Half, EveryValueSurvives) {
  for (unsigned i = 0; i < 0x10000; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    const double value = load_element(&bits, DType::f16, 0);
    if (std::isnan(value)) continue;
    std::uint16_t stored = 1;
    store_element(&stored, DType::f16, 0, value);
    ASSERT_EQ(stored, bits) << value;
  }
}

TEST_F(TensorTest, ActivationRowsStartAtMultiplesOf16Bytes) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const std::int64_t c : {1, 2, 3, 4, 5, 7, 8, 13}) {
      const Tensor t = Tensor::activation(allocator_, 2, 3, 4, c, dtype);
      const View v = t.view();
      EXPECT_EQ(t.shape(), (Shape{2, 3, 4, c}));
      EXPECT_TRUE(v.n == 2 && v.h == 3 && v.w == 4 && v.c == c && v.dtype == dtype);
      EXPECT_EQ(v.data, t.data());
      EXPECT_EQ(v.pitch, row_pitch(c, dtype));
      EXPECT_GE(v.pitch, c);
      EXPECT_EQ(v.pitch * size_bytes(dtype) % 16, 0);
      EXPECT_LT((v.pitch - c) * size_bytes(dtype), 16);
    }
  }
}

TEST_F(TensorTest, ViewsOfSlicesThatHaveOnePitch) {
  const Tensor t = Tensor::activation(allocator_, 3, 4, 5, 8, DType::f32);
  const View channels = t.slice(3, 2, 5).view();
  EXPECT_EQ(channels.as<float>(), t.view().as<float>() + 2);
  EXPECT_EQ(channels.c, 5);
  EXPECT_EQ(channels.pitch, 8);
  const View images = t.slice(0, 1, 2).view();
  EXPECT_EQ(images.as<float>(), t.view().as<float>() + 4 * 5 * 8);
  EXPECT_EQ(images.n, 2);
  const View rows = t.slice(0, 2, 1).slice(1, 1, 2).view();  // of one image: evenly spaced
  EXPECT_EQ(rows.as<float>(), t.view().as<float>() + (2 * 4 + 1) * 5 * 8);
}

TEST_F(TensorTest, ViewsOfOtherSlicesAreRefused) {
  const Tensor t = Tensor::activation(allocator_, 3, 4, 5, 8, DType::f32);
  EXPECT_THROW(t.slice(1, 0, 2).view(), ShapeError);
  EXPECT_THROW(t.slice(2, 0, 2).view(), ShapeError);
  EXPECT_THROW(counting(allocator_, {3, 4}).view(), ShapeError);
  EXPECT_THROW(Tensor().view(), ShapeError);
}

}  // namespace
}  // namespace msd
