// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <span>

namespace msd {

/// Looks at what the decoder (stb_image 2.27) takes on trust. Throws FormatError for
/// - a PNG whose chunks do not fit into the file or have another checksum,
/// - a JPEG whose Huffman tables have more than 256 codes, which it writes beyond its tables, or
///   one with a scan in front of its tables, which it decodes with memory that was never written,
/// - a PPM or PGM with 16-bit values, which it reads beyond, or with numbers that overflow.
/// Other files pass.
void check_image(std::span<const std::byte> file);

}  // namespace msd
