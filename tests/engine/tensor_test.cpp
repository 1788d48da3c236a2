// SPDX-License-Identifier: MIT
#include "engine/tensor.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "tests/support/errors.h"

namespace msd {
namespace {

using Shape = std::vector<std::int64_t>;
using test::throws;

class TensorTest : public testing::Test {
 protected:
  SystemAllocator system_;
  StatisticsAllocator allocator_{system_};
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
  PoisonAllocator poison(allocator_);
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
