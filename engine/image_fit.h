// SPDX-License-Identifier: MIT
// An installed library has this file as msd/image_fit.h: it needs the standard library alone.
#pragma once

#include <cstdint>

namespace msd {

/// Which old pixels a new one is made of.
enum class Interpolation : std::uint8_t { nearest, bilinear, bicubic };

/// How a picture of any size is brought to a network's input: torchvision's Resize(resize) and
/// CenterCrop(crop).
struct ImageFit {
  /// The most that either may be: an image has 100 megapixels at most.
  static constexpr std::int64_t kLargest = 10'000;

  std::int64_t resize = 0;  // pixels of the shorter side, the shape kept; at least `crop`
  std::int64_t crop = 0;    // then the crop x crop pixels in the middle; at least 1
  Interpolation interpolation = Interpolation::bilinear;

  bool operator==(const ImageFit&) const = default;
};

}  // namespace msd
