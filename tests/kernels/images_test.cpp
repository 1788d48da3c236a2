// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "tests/kernels/call_runs.h"
#include "tests/kernels/calls/images.h"
#include "tests/kernels/row_shapes.h"

namespace msd::test {
namespace {

using calls::Shape;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

template <typename T>
class GatherRows : public OpTest {};
TYPED_TEST_SUITE(GatherRows, FloatTypes);

TYPED_TEST(GatherRows, PicksImages) {
  for (const Shape& shape : kRowShapes) {
    if (shape.n == 0) continue;
    for (const std::int64_t picked : {0, 1, 5}) {
      calls::GatherRows<Guarded<TypeParam>> p(shape, picked, {3, 1}, {0, 2});
      std::vector<double> expected;
      for (std::int64_t i = 0; i < picked; ++i) {
        for (std::int64_t row = 0; row < shape.h * shape.w; ++row) {
          for (std::int64_t c = 0; c < shape.c; ++c) {
            expected.push_back(
                static_cast<double>(p.x.at(p.index.at(0, i) * shape.h * shape.w + row, c)));
          }
        }
      }
      EXPECT_TRUE(gives(p, expected)) << shape.text() << " picked " << picked;
    }
  }
}

TYPED_TEST(GatherRows, RejectsWhatTheContractForbids) {
  calls::GatherRows<Guarded<TypeParam>> p({4, 3, 3, 5}, 2);
  const auto reject = rejector(p);
  EXPECT_TRUE(reject([](auto& a) { a.index = nullptr; }));
  EXPECT_TRUE(reject([](auto& a) { a.y.h = 2; }));
  EXPECT_TRUE(reject([](auto& a) { a.y.data = const_cast<void*>(a.x.data); }));
  EXPECT_TRUE(bf16_has_bodies() || reject([](auto& a) { a.x.dtype = a.y.dtype = DType::bf16; }));
  EXPECT_TRUE(is_tag(p.y.at(0, 0)));  // nothing was written on the way
}

TYPED_TEST(GatherRows, IndicesOutsideThrowOrGiveNaN) {
  for (const std::int32_t bad : {4, -1, 1 << 30, std::numeric_limits<std::int32_t>::min()}) {
    for (const std::int64_t channels : {5, 8}) {
      calls::GatherRows<Guarded<TypeParam>> p({4, 3, 3, channels}, 3);
      p.index.set(std::vector<std::int32_t>{2, bad, 3});
      if (!bf16_has_bodies()) {
        EXPECT_TRUE(rejects(gather_rows, "gather_rows", p.args(), [](auto&) {})) << bad;
        EXPECT_TRUE(is_tag(p.y.at(0, 0)));
        continue;
      }
      const std::vector<double> from = p.x.doubles();
      const auto image = static_cast<std::ptrdiff_t>(9 * channels);
      std::vector<double> expected(from.begin() + 2 * image, from.begin() + 3 * image);
      expected.resize(expected.size() + static_cast<std::size_t>(image), kNaN);
      expected.insert(expected.end(), from.begin() + 3 * image, from.end());
      EXPECT_TRUE(gives(p, expected)) << bad;
    }
  }
}

template <typename T>
class ImageToFloat : public OpTest {};
TYPED_TEST_SUITE(ImageToFloat, FloatTypes);

/// With random crops.
template <typename T>
struct Images : calls::ImageToFloat<Guarded<T>> {
  Images(std::int64_t count, std::int64_t h, std::int64_t w, const Shape& out, Gap gap = {})
      : calls::ImageToFloat<Guarded<T>>({count, h, w, out}, gap),
        memory(static_cast<std::size_t>(out.n)) {
    Random random(5);
    for (CropFlip& crop : memory) {
      crop.top = static_cast<std::int32_t>(random.integer(-4, 4));
      crop.left = static_cast<std::int32_t>(random.integer(-4, 4));
      crop.flip = random.integer(0, 1) == 1;
    }
    this->crops = memory.data();
  }
  std::vector<CropFlip, OperandAllocator<CropFlip>> memory;
};

TYPED_TEST(ImageToFloat, CropsFlipsAndNormalises) {
  // As large as the image, smaller, larger; 3 channels and others.
  for (const Shape& out :
       {Shape{5, 32, 32, 3}, Shape{3, 9, 7, 1}, Shape{2, 40, 41, 3}, Shape{4, 5, 6, 17},
        Shape{1, 1, 1, 3}, Shape{0, 8, 8, 3}, Shape{2, 8, 8, 0}}) {
    for (const Gap gap : {Gap{0, 0}, Gap{0, 1}, Gap{3, 2}}) {
      Images<TypeParam> images(6, 32, 30, out, gap);
      const std::vector<double> expected = images.expected();
      // (v - mean) is below 256/50 and each of three roundings is relative.
      const double eps = std::numeric_limits<TypeParam>::epsilon();
      EXPECT_TRUE(gives(images, expected, {0.0, 4.0 * eps})) << out.text();
    }
  }
}

TYPED_TEST(ImageToFloat, WithoutCropsTakesTheImageAsItIs) {
  Images<TypeParam> images(4, 6, 7, {3, 6, 7, 3});
  images.crops = nullptr;
  images.mean.fill(128.0f);
  images.std.fill(64.0f);  // exact
  const std::vector<double> expected = images.expected();
  for (ExecutionContext& context : every_context()) {
    calls::run(context, images);
    EXPECT_TRUE(compare("y", images.y, expected, {}));
  }
}

TYPED_TEST(ImageToFloat, CropsFarOutsideAreTheMeanColour) {
  Images<TypeParam> images(4, 6, 7, {4, 6, 7, 3});
  images.memory = {{100, 0, false}, {-100, 0, true}, {0, 100, false}, {0, -2147483647, true}};
  images.crops = images.memory.data();
  for (ExecutionContext& context : every_context()) {
    calls::run(context, images);
    EXPECT_TRUE(compare("y", images.y, std::vector<double>(4 * 6 * 7 * 3), {}));
  }
}

TYPED_TEST(ImageToFloat, RejectsWhatTheContractForbids) {
  Images<TypeParam> images(4, 6, 7, {3, 6, 7, 3});
  const auto reject = rejector(images);
  EXPECT_TRUE(reject([](auto& a) { a.images = nullptr; }));
  EXPECT_TRUE(reject([](auto& a) { a.index = nullptr; }));
  EXPECT_TRUE(reject([](auto& a) { a.std = nullptr; }));
  EXPECT_TRUE(reject([](auto& a) { a.count = 0; }));
  EXPECT_TRUE(bf16_has_bodies() || reject([](auto& a) { a.y.dtype = DType::bf16; }));
}

TYPED_TEST(ImageToFloat, IndicesOutsideThrowOrGiveNaN) {
  for (const std::int64_t index : {std::int64_t{-1}, std::int64_t{4}, std::int64_t{1} << 62}) {
    Images<TypeParam> images(4, 6, 7, {3, 6, 7, 3});
    std::vector<double> expected = images.expected();
    std::fill(expected.begin() + 6 * 7 * 3, expected.begin() + 2 * 6 * 7 * 3, kNaN);
    images.index.at(0, 1) = index;
    if (!bf16_has_bodies()) {
      EXPECT_TRUE(rejects(image_to_float, "image_to_float", images.args(), [](auto&) {})) << index;
      continue;
    }
    EXPECT_TRUE(always(images, [&] {
      return compare("y", images.y, expected,
                     {0.0, 4.0 * static_cast<double>(std::numeric_limits<TypeParam>::epsilon())});
    })) << index;
  }
}

TYPED_TEST(ImageToFloat, DeviationsNotAboveZeroThrowOrGiveNaN) {
  for (const float bad : {0.0f, -1.0f, std::numeric_limits<float>::quiet_NaN()}) {
    Images<TypeParam> images(4, 6, 7, {3, 6, 7, 3});
    images.std.at(0, 2) = bad;
    images.crops = nullptr;
    if (!bf16_has_bodies()) {
      EXPECT_TRUE(rejects(image_to_float, "image_to_float", images.args(), [](auto&) {})) << bad;
      continue;
    }
    ExecutionContext context = any_context();
    calls::run(context, images);
    for (std::int64_t i = 0; i < images.y.elems(); ++i) {
      EXPECT_EQ(std::isnan(images.y.data()[i]), i % 3 == 2) << bad << " at " << i;
    }
  }
}

}  // namespace
}  // namespace msd::test
