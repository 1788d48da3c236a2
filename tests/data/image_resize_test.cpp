// SPDX-License-Identifier: MIT
#include "data/image_resize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernels/error.h"
#include "tests/support/image_bytes.h"

namespace msd {
namespace {

using test::Bytes;
using test::noise;

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
    EXPECT_EQ(resize_to(flat, size, 2 * size).pixels,
              Bytes(static_cast<std::size_t>(size * size * 6), 77));
  }
}

/// The definition, straight: all old pixels, weighted by the product of two triangles.
double naive_resize(const Image& image, std::int64_t h, std::int64_t w, std::int64_t y,
                    std::int64_t x, std::int64_t c) {
  const double scale_y = static_cast<double>(image.h) / static_cast<double>(h);
  const double scale_x = static_cast<double>(image.w) / static_cast<double>(w);
  const auto triangle = [](double old_center, double center, double width) {
    return std::max(0.0, 1.0 - std::abs(old_center - center) / width);
  };
  double sum = 0.0, weights = 0.0;
  for (std::int64_t v = 0; v < image.h; ++v) {
    for (std::int64_t u = 0; u < image.w; ++u) {
      const double weight =
          triangle(static_cast<double>(v) + 0.5, (static_cast<double>(y) + 0.5) * scale_y,
                   std::max(1.0, scale_y)) *
          triangle(static_cast<double>(u) + 0.5, (static_cast<double>(x) + 0.5) * scale_x,
                   std::max(1.0, scale_x));
      weights += weight;
      sum += weight * image.pixels[static_cast<std::size_t>((v * image.w + u) * 3 + c)];
    }
  }
  return sum / weights;
}

TEST(ResizeTo, IsTheDocumentedAverage) {
  const Image image = noise(13, 10);
  for (const auto& [h, w] : {std::pair{26, 20}, std::pair{13, 31}, std::pair{5, 4}, std::pair{1, 1},
                             std::pair{12, 9}, std::pair{40, 3}}) {
    const Image out = resize_to(image, h, w);
    ASSERT_EQ(out.pixels.size(), static_cast<std::size_t>(h * w * 3));
    std::size_t at = 0;
    for (std::int64_t y = 0; y < h; ++y) {
      for (std::int64_t x = 0; x < w; ++x) {
        for (std::int64_t c = 0; c < 3; ++c, ++at) {
          // Rounded to the next grey level; floats in between may move a tie.
          ASSERT_NEAR(out.pixels[at], naive_resize(image, h, w, y, x, c), 0.5001)
              << h << "x" << w << " at " << y << ", " << x;
        }
      }
    }
  }
}

TEST(CenterCrop, TakesTheMiddle) {
  const Image image = noise(5, 6);
  const Image out = center_crop(image, 2, 3);
  Bytes expected;
  for (std::size_t y = 1; y < 3; ++y) {
    for (std::size_t e = 3; e < 12; ++e) expected.push_back(image.pixels[y * 18 + e]);
  }
  EXPECT_EQ(out.h, 2);
  EXPECT_EQ(out.w, 3);
  EXPECT_EQ(out.pixels, expected);
  expect_same_pixels(center_crop(image, 5, 6), image);
  EXPECT_THROW(center_crop(image, 6, 6), ShapeError);
  EXPECT_THROW(center_crop(image, 5, 0), ShapeError);
}

TEST(FitTo, ResizesTheShortSideAndCrops) {
  const Image image = noise(40, 60);
  expect_same_pixels(fit_to(image, 32, 32), center_crop(resize_to(image, 32, 48), 32, 32));
  expect_same_pixels(fit_to(image, 14, 14, 16), center_crop(resize_to(image, 16, 24), 14, 14));
  expect_same_pixels(fit_to(image, 10, 60), center_crop(image, 10, 60));
  for (const auto& [h, w] :
       {std::pair{1, 1}, std::pair{3, 50}, std::pair{7, 5}, std::pair{33, 31}}) {
    const Image out = fit_to(noise(h, w), 32, 32);
    EXPECT_EQ(out.h, 32);
    EXPECT_EQ(out.w, 32);
  }
  EXPECT_THROW(fit_to(image, 14, 14, 13), ShapeError);
}

}  // namespace
}  // namespace msd
