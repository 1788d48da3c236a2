// SPDX-License-Identifier: MIT
#include "data/image_resize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

#include "kernels/check.h"

namespace msd {
namespace {

constexpr std::int64_t kMostResizedPixels = 100'000'000;

/// The old pixels one new pixel sees along one axis: from `first`, weights that sum to 1.
struct Taps {
  std::int64_t first = 0;
  std::vector<double> weights;
};

std::vector<Taps> make_taps(std::int64_t old_size, std::int64_t new_size) {
  const double scale = static_cast<double>(old_size) / static_cast<double>(new_size);
  const double reach = std::max(1.0, scale);
  std::vector<Taps> taps(static_cast<std::size_t>(new_size));
  for (std::size_t i = 0; i < taps.size(); ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale - 0.5;  // in old pixels
    const auto first = std::max<std::int64_t>(0, static_cast<std::int64_t>(center - reach + 1.0));
    const auto last = std::min(old_size - 1, static_cast<std::int64_t>(center + reach));
    taps[i].first = first;
    double sum = 0.0;
    for (std::int64_t at = first; at <= last; ++at) {
      const double away = std::abs(static_cast<double>(at) - center) / reach;
      taps[i].weights.push_back(std::max(0.0, 1.0 - away));
      sum += taps[i].weights.back();
    }
    for (double& weight : taps[i].weights) weight /= sum;
  }
  return taps;
}

}  // namespace

Image resize_to(const Image& image, std::int64_t h, std::int64_t w) {
  MSD_CHECK(h >= 1 && w >= 1 && h * w <= kMostResizedPixels, "resize to ", h, "x", w);
  MSD_CHECK(image.h >= 1 && image.w >= 1 &&
                static_cast<std::int64_t>(image.pixels.size()) == image.h * image.w * 3,
            "resize of ", image.h, "x", image.w);
  if (h == image.h && w == image.w) return image;
  const std::vector<Taps> columns = make_taps(image.w, w), rows = make_taps(image.h, h);
  // Old rows, narrowed or widened first, then joined; floats in between.
  std::vector<float> wide(static_cast<std::size_t>(image.h * w * 3));
  std::size_t at = 0;
  for (std::int64_t y = 0; y < image.h; ++y) {
    for (const Taps& taps : columns) {
      const std::uint8_t* in = image.pixels.data() + (y * image.w + taps.first) * 3;
      std::array<double, 3> sum{};
      for (const double weight : taps.weights) {
        for (double& channel : sum) channel += weight * *in++;
      }
      for (const double channel : sum) wide[at++] = static_cast<float>(channel);
    }
  }
  Image out{h, w, std::vector<std::uint8_t>(static_cast<std::size_t>(h * w * 3))};
  at = 0;
  for (const Taps& taps : rows) {
    for (std::int64_t x = 0; x < w * 3; ++x) {
      double sum = 0.5;
      const float* in = wide.data() + taps.first * w * 3 + x;
      for (const double weight : taps.weights) {
        sum += weight * static_cast<double>(*in);
        in += w * 3;
      }
      out.pixels[at++] = static_cast<std::uint8_t>(std::clamp(sum, 0.0, 255.0));
    }
  }
  return out;
}

Image center_crop(const Image& image, std::int64_t h, std::int64_t w) {
  MSD_CHECK(h >= 1 && w >= 1 && h <= image.h && w <= image.w, "centre crop of ", h, "x", w,
            " from ", image.h, "x", image.w);
  Image out{h, w, {}};
  out.pixels.reserve(static_cast<std::size_t>(h * w * 3));
  const std::int64_t top = (image.h - h) / 2, left = (image.w - w) / 2;
  for (std::int64_t y = 0; y < h; ++y) {
    const auto from = image.pixels.begin() + ((top + y) * image.w + left) * 3;
    out.pixels.insert(out.pixels.end(), from, from + w * 3);
  }
  return out;
}

Image fit_to(const Image& image, std::int64_t h, std::int64_t w, std::int64_t short_side) {
  MSD_CHECK(h >= 1 && w >= 1 && image.h >= 1 && image.w >= 1, "fit of ", image.h, "x", image.w,
            " to ", h, "x", w);
  const auto old_h = static_cast<double>(image.h), old_w = static_cast<double>(image.w);
  const double scale =
      short_side > 0 ? static_cast<double>(short_side) / std::min(old_h, old_w)
                     : std::max(static_cast<double>(h) / old_h, static_cast<double>(w) / old_w);
  const auto new_h = std::max<std::int64_t>(1, std::llround(old_h * scale));
  const auto new_w = std::max<std::int64_t>(1, std::llround(old_w * scale));
  return center_crop(resize_to(image, new_h, new_w), h, w);
}

}  // namespace msd
