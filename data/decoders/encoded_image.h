// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "data/image_file.h"

namespace msd {

using EncodedImage = std::span<const std::byte>;

inline constexpr const char* kImageCutShort = "the file is cut short";

/// Throws FormatError: the image cannot be decoded, and why.
[[noreturn]] void refuse_image(const std::string& why);

/// `size` bytes from `at`; where the file ends before, it is refused as cut short.
EncodedImage part_of(EncodedImage file, std::size_t at, std::size_t size);
/// Numbers of 1 to 4 bytes, checked likewise.
std::uint32_t little_endian(EncodedImage file, std::size_t at, std::size_t size);
std::uint32_t big_endian(EncodedImage file, std::size_t at, std::size_t size);

/// Black pixels. Refused where there are none or more than 100 megapixels, or more than `file` can
/// hold at `most_a_byte` (so that a few bytes cannot ask for much memory).
Image blank_image(std::int64_t h, std::int64_t w, EncodedImage file, std::int64_t most_a_byte);

}  // namespace msd
