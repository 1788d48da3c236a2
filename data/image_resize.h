// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

#include "data/image_file.h"
#include "engine/image_fit.h"

namespace msd {

/// Resizes to h x w, each >= 1: the same bytes as the Image.resize of Pillow 13, which torchvision
/// calls. bilinear, bicubic: averages weighted by a triangle or a cubic around the new pixel's
/// centre, measured in old pixels when enlarging and in new ones when shrinking (so that nothing is
/// skipped), along one axis after the other. Same size: an exact copy. Throws ShapeError where the
/// image or the new one has more than 100 megapixels or none.
Image resize_to(const Image& image, std::int64_t h, std::int64_t w,
                Interpolation interpolation = Interpolation::bilinear);

/// The h x w pixels in the middle; of a border that cannot be halved, the half that torchvision's
/// CenterCrop rounds to (the even one) lies above and to the left. Throws ShapeError where the
/// image is smaller.
Image center_crop(const Image& image, std::int64_t h, std::int64_t w);

/// Throws ConfigError where no picture can be fitted so.
void require_possible(const ImageFit& fit);

/// The one way from a picture to pixels [crop][crop][3] of a network's input. The longer side is
/// resized to the whole pixels of resize * longer / shorter. Throws as require_possible(), and
/// ShapeError for a picture so thin that it would have too many pixels then.
Image fit_to(const Image& image, const ImageFit& fit);
/// fit_to() of decode_image_file(). Throws as these, but FormatError naming the file for
/// ShapeError.
Image load_fitted(const std::string& path, const ImageFit& fit);

}  // namespace msd
