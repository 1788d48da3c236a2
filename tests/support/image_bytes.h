// SPDX-License-Identifier: MIT
// Image files for tests, as bytes.
#pragma once

#include <cstdint>
#include <vector>

#include "data/image_file.h"

namespace msd::test {

using Bytes = std::vector<std::uint8_t>;

/// Random pixels, the same for the same size and seed.
Image noise(std::int64_t h, std::int64_t w, std::uint64_t seed = 9);

/// Binary PPM.
Bytes ppm(const Image& image);
/// 24 bits a pixel, bottom row first, blue green red, rows of a multiple of 4 bytes.
Bytes bmp(const Image& image);
/// channels 1 grey, 2 grey + alpha, 3 colour, 4 colour + alpha; stored, not compressed.
Bytes png(std::int64_t h, std::int64_t w, int channels, const Bytes& pixels);
/// Baseline JPEG of 8 x 16 pixels: the left half is (201, 60, 40), the right half (30, 90, 210), up
/// to the rounding of decoders.
Bytes jpeg();

}  // namespace msd::test
