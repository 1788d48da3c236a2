// SPDX-License-Identifier: MIT
#include "data/image_resize.h"

#include <gtest/gtest.h>

#include <utility>

#include "kernels/error.h"
#include "tests/support/errors.h"
#include "tests/support/image_bytes.h"

namespace msd {
namespace {

using test::Bytes;
using test::noise;
using test::throws;

void expect_same_pixels(const Image& got, const Image& want) {
  EXPECT_EQ(got.h, want.h);
  EXPECT_EQ(got.w, want.w);
  EXPECT_EQ(got.pixels, want.pixels);
}

TEST(ResizeTo, KeepsTheSameSizeAndFlatColour) {
  const Image image = noise(6, 5);
  expect_same_pixels(resize_to(image, 6, 5), image);
  const Image flat{3, 4, Bytes(36, 77)};
  for (const std::int64_t size : {1, 2, 3, 5, 17}) {
    for (const Interpolation how :
         {Interpolation::nearest, Interpolation::bilinear, Interpolation::bicubic}) {
      EXPECT_EQ(resize_to(flat, size, 2 * size, how).pixels,
                Bytes(static_cast<std::size_t>(size * size * 6), 77));
    }
  }
}

/// The picture that the expected values were computed of.
Image pattern(std::int64_t h, std::int64_t w) {
  Image image{h, w, {}};
  for (std::int64_t y = 0; y < h; ++y) {
    for (std::int64_t x = 0; x < w; ++x) {
      for (std::int64_t c = 0; c < 3; ++c) {
        const std::int64_t value = y * 7 + x * 13 + c * 31 + y * x % 11 * 17;
        image.pixels.push_back(static_cast<std::uint8_t>(value % 256));
      }
    }
  }
  return image;
}

std::uint32_t fnv1a(const Bytes& bytes) {
  std::uint32_t hash = 0x811c9dc5;
  for (const std::uint8_t byte : bytes) hash = (hash ^ byte) * 0x01000193;
  return hash;
}

// Computed with Pillow 13.0.0 as torchvision calls it: the size (int(resize * long / short)),
// resize, crop at int(round((side - crop) / 2)).
TEST(FitTo, IsWhatTorchvisionDoesWithPillow) {
  const struct {
    std::int64_t h, w;
    ImageFit fit;
    std::uint32_t expected;
  } rows[] = {{427, 640, {256, 224, Interpolation::bilinear}, 0xc17cdf4e},
              {640, 427, {256, 224, Interpolation::bilinear}, 0x77c947ba},
              {334, 500, {256, 224, Interpolation::bilinear}, 0x131c15eb},
              {500, 334, {256, 224, Interpolation::bilinear}, 0x46811698},
              {299, 300, {256, 224, Interpolation::bilinear}, 0x168e0fe3},
              {300, 299, {256, 224, Interpolation::bilinear}, 0x5614e825},
              {300, 299, {256, 224, Interpolation::bicubic}, 0xb46f6d3e},
              {334, 500, {256, 224, Interpolation::nearest}, 0x8f0051db},
              {224, 224, {256, 224, Interpolation::bilinear}, 0x2219e14f},
              {31, 47, {32, 32, Interpolation::bicubic}, 0xa410a8a4},
              {90, 20, {36, 32, Interpolation::bicubic}, 0xcec9d464},
              {300, 60, {36, 32, Interpolation::bicubic}, 0xb36c0edc},  // columns first
              {1, 9, {16, 14, Interpolation::bilinear}, 0xab3acf8d},
              {53, 40, {37, 32, Interpolation::nearest}, 0xb45d8d70}};
  for (const auto& row : rows) {
    const Image out = fit_to(pattern(row.h, row.w), row.fit);
    EXPECT_EQ(out.h, row.fit.crop);
    EXPECT_EQ(out.w, row.fit.crop);
    EXPECT_EQ(fnv1a(out.pixels), row.expected) << row.h << "x" << row.w;
  }
  const auto small = [](Interpolation interpolation) {
    return fit_to(pattern(5, 8), {4, 3, interpolation}).pixels;
  };
  EXPECT_EQ(small(Interpolation::nearest),
            (Bytes{39,  70,  101, 52,  83,  114, 65, 96, 127, 97,  128, 159, 127, 158,
                   189, 157, 188, 219, 213, 244, 19, 90, 121, 152, 154, 185, 216}));
  EXPECT_EQ(small(Interpolation::bilinear),
            (Bytes{51,  82,  113, 74,  105, 136, 97,  128, 159, 115, 146, 167, 165, 167,
                   130, 175, 153, 184, 168, 199, 126, 157, 159, 108, 183, 161, 117}));
  EXPECT_EQ(small(Interpolation::bicubic),
            (Bytes{45,  75,  107, 64,  99,  140, 90,  129, 161, 112, 147, 181, 176, 173,
                   122, 177, 147, 195, 182, 217, 120, 154, 154, 101, 189, 163, 110}));
}

TEST(CenterCrop, RoundsAsPython) {
  const Image image = noise(5, 6);
  const Image out = center_crop(image, 2, 3);
  Bytes expected;
  for (std::size_t y = 2; y < 4; ++y) {
    for (std::size_t e = 6; e < 15; ++e) expected.push_back(image.pixels[y * 18 + e]);
  }
  EXPECT_EQ(out.h, 2);
  EXPECT_EQ(out.w, 3);
  EXPECT_EQ(out.pixels, expected);
  // round(0.5), round(1.0), round(1.5), ... to the even one.
  const Image column = noise(10, 1);
  const std::int64_t tops[] = {0, 0, 1, 2, 2, 2, 3, 4, 4, 4};
  for (std::int64_t border = 0; border < 10; ++border) {
    EXPECT_EQ(center_crop(column, 10 - border, 1).pixels[0],
              column.pixels[static_cast<std::size_t>(tops[border] * 3)])
        << border;
  }
  expect_same_pixels(center_crop(image, 5, 6), image);
  EXPECT_THROW(center_crop(image, 6, 6), ShapeError);
  EXPECT_THROW(center_crop(image, 5, 0), ShapeError);
}

TEST(FitTo, ResizesTheShorterSideAndCrops) {
  const Image image = noise(40, 60), square = noise(32, 32);
  expect_same_pixels(fit_to(image, {14, 14}), center_crop(resize_to(image, 14, 21), 14, 14));
  expect_same_pixels(fit_to(image, {16, 14}), center_crop(resize_to(image, 16, 24), 14, 14));
  expect_same_pixels(fit_to(image, {40, 40}), center_crop(image, 40, 40));
  expect_same_pixels(fit_to(square, {32, 32}), square);
  for (const auto& [h, w] :
       {std::pair{1, 1}, std::pair{3, 50}, std::pair{7, 5}, std::pair{33, 31}}) {
    const Image out = fit_to(noise(h, w), {32, 32});
    EXPECT_EQ(out.h, 32);
    EXPECT_EQ(out.w, 32);
  }
}

TEST(FitTo, RefusesWhatCannotBe) {
  const Image image = noise(40, 60);
  for (const ImageFit& fit : {ImageFit{13, 14}, {0, 0}, {5, 0}, {-1, -1}, {10'001, 14}}) {
    EXPECT_THROW(fit_to(image, fit), ConfigError) << fit.resize << " " << fit.crop;
  }
  EXPECT_TRUE(throws<ShapeError>(
      [] {
        fit_to(noise(1, 20'000), {100, 100});
      },
      {"20000x1", "too many", "2000000"}));
}

}  // namespace
}  // namespace msd
