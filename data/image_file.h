// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace msd {

/// One colour image: [h][w][3] red, green, blue, no gaps.
struct Image {
  std::int64_t h = 0, w = 0;
  std::vector<std::uint8_t> pixels;
};

/// The formats of image files, for messages.
inline constexpr std::string_view kImageFormats = "JPEG, PNG, WebP, BMP, GIF, PNM or TGA";

/// Decodes an image file of one of kImageFormats, told by its bytes, of up to 100 megapixels: the
/// pixels as stored, with greyscale and palettes expanded to colour, CMYK converted, transparency
/// dropped (the colours below it show), 16 bits cut to 8. Of several pictures it is the first. As
/// Pillow's convert("RGB"), it ignores gamma, profiles and EXIF's orientation. Throws IoError where
/// the file cannot be read and FormatError where it is no such image, damaged or cut short.
Image decode_image_file(const std::string& path);
/// The same of a file's bytes, without its name in the errors.
Image decode_image(std::span<const std::byte> content);

}  // namespace msd
