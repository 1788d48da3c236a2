// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace msd {

/// One colour image: [h][w][3] red, green, blue, no gaps.
struct Image {
  std::int64_t h = 0, w = 0;
  std::vector<std::uint8_t> pixels;
};

/// Decodes a JPEG, PNG, BMP or binary PPM/PGM file of any size up to 100 megapixels; greyscale is
/// expanded to colour, transparency is dropped. Throws IoError where the file cannot be read and
/// FormatError where it is no such image or is cut short.
Image decode_image_file(const std::string& path);
/// The same of a file's bytes, without its name in the errors.
Image decode_image(std::span<const std::byte> content);

/// Resizes to h x w, each >= 1. Each new pixel is the average of the old ones weighted by a
/// triangle around its centre, as wide as one old pixel each way when enlarging (bilinear) and as
/// one new pixel when shrinking (so nothing is skipped). Pixel centres are at half positions. Same
/// size: an exact copy.
Image resize_to(const Image& image, std::int64_t h, std::int64_t w);

/// The h x w pixels in the middle (the odd pixel of a border goes below and to the right). Throws
/// ShapeError where the image is smaller.
Image center_crop(const Image& image, std::int64_t h, std::int64_t w);

/// Any image as a network wants it: resized so that its shorter side is `short_side` and its shape
/// is kept, then the h x w in the middle. short_side 0: as small as covers h x w.
/// ImageNet's test images are fit_to(image, 224, 224, 256).
Image fit_to(const Image& image, std::int64_t h, std::int64_t w, std::int64_t short_side = 0);

}  // namespace msd
