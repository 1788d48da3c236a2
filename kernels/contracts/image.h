// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "kernels/view.h"

namespace msd {

/// Where the crop of one sample starts in its image (negative: in the border) and whether it is
/// mirrored left-right after cropping.
struct CropFlip {
  std::int32_t top = 0, left = 0;
  bool flip = false;
};

/// y's image i = (images[index[i]] cropped to y.h x y.w at crops[i], mirrored, minus mean) * 1/std,
/// per channel; positions outside the image are 0 (the mean colour). images: [count][h][w][y.c]
/// uint8; mean and std in grey levels, [y.c] floats, std above 0; crops null: no offset, no flip.
/// An index outside [0, count) or another std: on the CPU throws ShapeError naming it; on CUDA,
/// where all operands lie in device memory, that image of y, or that channel of every pixel inside
/// its image, becomes NaN.
struct ImageToFloatArgs {
  const std::uint8_t* images = nullptr;
  std::int64_t count = 0, h = 0, w = 0;
  const std::int64_t* index = nullptr;
  const CropFlip* crops = nullptr;
  const float* mean = nullptr;
  const float* std = nullptr;
  View y;
  void check() const;
};

}  // namespace msd
