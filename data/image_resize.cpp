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
// Of the weights' fractions, as in Pillow (src/libImaging/Resample.c): sums fit into 32 bits.
constexpr int kWeightBits = 22;

double triangle(double x) { return std::max(0.0, 1.0 - std::abs(x)); }

// Keys' cubic with a = -0.5.
double cubic(double x) {
  x = std::abs(x);
  if (x < 1.0) return (1.5 * x - 2.5) * x * x + 1.0;
  return x < 2.0 ? (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5 : 0.0;
}

/// A weight for each distance from a new pixel's centre, 0 beyond `reach`.
struct ResizeFilter {
  double (*weight)(double x);
  double reach;
};

/// The old pixels one new pixel sees along one axis: from `first`, weights that sum to about
/// 1 << kWeightBits.
struct Taps {
  std::int64_t first = 0;
  std::vector<std::int32_t> weights;
};

std::vector<Taps> make_taps(const ResizeFilter& filter, std::int64_t old_size,
                            std::int64_t new_size) {
  const double scale = static_cast<double>(old_size) / static_cast<double>(new_size);
  const double widened = std::max(1.0, scale);
  const double reach = filter.reach * widened;
  std::vector<Taps> taps(static_cast<std::size_t>(new_size));
  std::vector<double> weights;
  for (std::size_t i = 0; i < taps.size(); ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;  // pixel 0 is from 0 to 1
    const double left = center - reach + 0.5, right = center + reach + 0.5;
    const auto first = std::max<std::int64_t>(0, static_cast<std::int64_t>(left));
    const auto end = std::min(old_size, static_cast<std::int64_t>(right));
    weights.clear();
    double sum = 0.0;
    for (std::int64_t at = first; at < end; ++at) {
      const double away = static_cast<double>(at) - center + 0.5;
      weights.push_back(filter.weight(away * (1.0 / widened)));
      sum += weights.back();
    }
    taps[i].first = first;
    for (const double weight : weights) {
      const double fixed = weight / sum * (1 << kWeightBits);
      taps[i].weights.push_back(static_cast<std::int32_t>(fixed + (fixed < 0.0 ? -0.5 : 0.5)));
    }
  }
  return taps;
}

std::uint8_t grey_level(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> kWeightBits, 0, 255));
}

Image resize_rows(const Image& image, const ResizeFilter& filter, std::int64_t w) {
  const std::vector<Taps> columns = make_taps(filter, image.w, w);
  Image out{image.h, w, std::vector<std::uint8_t>(static_cast<std::size_t>(image.h * w * 3))};
  std::size_t at = 0;
  for (std::int64_t y = 0; y < image.h; ++y) {
    for (const Taps& taps : columns) {
      const std::uint8_t* in = image.pixels.data() + (y * image.w + taps.first) * 3;
      std::array<std::int32_t, 3> sum;
      sum.fill(1 << (kWeightBits - 1));
      for (const std::int32_t weight : taps.weights) {
        for (std::int32_t& channel : sum) channel += weight * *in++;
      }
      for (const std::int32_t channel : sum) out.pixels[at++] = grey_level(channel);
    }
  }
  return out;
}

Image resize_columns(const Image& image, const ResizeFilter& filter, std::int64_t h) {
  const std::vector<Taps> rows = make_taps(filter, image.h, h);
  const std::int64_t row_elems = image.w * 3;
  Image out{h, image.w, std::vector<std::uint8_t>(static_cast<std::size_t>(h * row_elems))};
  std::vector<std::int32_t> sums(static_cast<std::size_t>(row_elems));
  std::size_t at = 0;
  for (const Taps& taps : rows) {
    std::fill(sums.begin(), sums.end(), 1 << (kWeightBits - 1));
    const std::uint8_t* in = image.pixels.data() + taps.first * row_elems;
    for (const std::int32_t weight : taps.weights) {
      for (std::int32_t& sum : sums) sum += weight * *in++;
    }
    for (const std::int32_t sum : sums) out.pixels[at++] = grey_level(sum);
  }
  return out;
}

// The old pixel at each new pixel's centre; added up step by step, as Pillow does.
std::vector<std::int64_t> nearest_pixels(std::int64_t old_size, std::int64_t new_size) {
  const double scale = static_cast<double>(old_size) / static_cast<double>(new_size);
  std::vector<std::int64_t> nearest(static_cast<std::size_t>(new_size));
  double at = 0.5 * scale;
  for (std::int64_t& pixel : nearest) {
    pixel = std::min(old_size - 1, static_cast<std::int64_t>(at));
    at += scale;
  }
  return nearest;
}

Image resize_nearest(const Image& image, std::int64_t h, std::int64_t w) {
  const std::vector<std::int64_t> rows = nearest_pixels(image.h, h);
  const std::vector<std::int64_t> columns = nearest_pixels(image.w, w);
  Image out{h, w, {}};
  out.pixels.reserve(static_cast<std::size_t>(h * w * 3));
  for (const std::int64_t y : rows) {
    for (const std::int64_t x : columns) {
      const auto from = image.pixels.begin() + (y * image.w + x) * 3;
      out.pixels.insert(out.pixels.end(), from, from + 3);
    }
  }
  return out;
}

Image resize_filtered(const Image& image, const ResizeFilter& filter, std::int64_t h,
                      std::int64_t w) {
  if (w == image.w) return resize_columns(image, filter, h);
  if (h == image.h) return resize_rows(image, filter, w);
  // Each pass rounds to grey levels, so the order shows; this is Pillow's since version 13.
  const bool columns_first = image.h > h && image.h - h > (image.w - w) * 2;
  return columns_first ? resize_rows(resize_columns(image, filter, h), filter, w)
                       : resize_columns(resize_rows(image, filter, w), filter, h);
}

// CenterCrop's round(border / 2), which takes the even one of two equally near.
std::int64_t half_border(std::int64_t border) {
  const std::int64_t half = border / 2;
  return border % 2 == 1 && half % 2 == 1 ? half + 1 : half;
}

bool can_be_resized_to(std::int64_t h, std::int64_t w) {
  return h >= 1 && w >= 1 && h <= kMostResizedPixels / w;
}

}  // namespace

Image resize_to(const Image& image, std::int64_t h, std::int64_t w, Interpolation interpolation) {
  MSD_CHECK(can_be_resized_to(h, w), "resize to ", h, "x", w);
  MSD_CHECK(can_be_resized_to(image.h, image.w) &&
                static_cast<std::int64_t>(image.pixels.size()) == image.h * image.w * 3,
            "resize of ", image.h, "x", image.w);
  if (h == image.h && w == image.w) return image;
  switch (interpolation) {
    case Interpolation::nearest:
      return resize_nearest(image, h, w);
    case Interpolation::bilinear:
      return resize_filtered(image, {triangle, 1.0}, h, w);
    case Interpolation::bicubic:
      break;
  }
  return resize_filtered(image, {cubic, 2.0}, h, w);
}

Image center_crop(const Image& image, std::int64_t h, std::int64_t w) {
  MSD_CHECK(h >= 1 && w >= 1 && h <= image.h && w <= image.w, "centre crop of ", h, "x", w,
            " from ", image.h, "x", image.w);
  Image out{h, w, {}};
  out.pixels.reserve(static_cast<std::size_t>(h * w * 3));
  const std::int64_t top = half_border(image.h - h), left = half_border(image.w - w);
  for (std::int64_t y = 0; y < h; ++y) {
    const auto from = image.pixels.begin() + ((top + y) * image.w + left) * 3;
    out.pixels.insert(out.pixels.end(), from, from + w * 3);
  }
  return out;
}

void require_possible(const ImageFit& fit) {
  if (fit.crop < 1 || fit.resize < fit.crop || fit.resize > ImageFit::kLargest) {
    throw ConfigError(message("images of ", fit.crop, "x", fit.crop,
                              " pixels from the middle of such whose shorter side is ", fit.resize,
                              "; the crop is 1 or more, its frame as much or more, and at most ",
                              ImageFit::kLargest));
  }
}

Image fit_to(const Image& image, const ImageFit& fit) {
  require_possible(fit);
  const std::int64_t shorter = std::min(image.h, image.w), longer = std::max(image.h, image.w);
  MSD_CHECK(shorter >= 1 && longer <= kMostResizedPixels, "fit of ", image.h, "x", image.w);
  const std::int64_t new_longer = fit.resize * longer / shorter;
  if (!can_be_resized_to(fit.resize, new_longer)) {
    throw ShapeError(message(image.w, "x", image.h,
                             " pixels become too many: with the shorter side resized to ",
                             fit.resize, " the longer has ", new_longer, ", and ",
                             kMostResizedPixels, " in all are the most"));
  }
  const bool is_wide = image.w >= image.h;
  return center_crop(resize_to(image, is_wide ? fit.resize : new_longer,
                               is_wide ? new_longer : fit.resize, fit.interpolation),
                     fit.crop, fit.crop);
}

Image load_fitted(const std::string& path, const ImageFit& fit) {
  const Image image = decode_image_file(path);
  try {
    return fit_to(image, fit);
  } catch (const ShapeError& error) {
    throw FormatError(path + ": " + error.text());
  }
}

}  // namespace msd
