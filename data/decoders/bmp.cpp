// SPDX-License-Identifier: MIT
// Own, as stb_image reads four colours too few of OS/2's palettes, makes up those that a palette
// lacks, and knows no run lengths.
#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "data/decoders/decoders.h"
#include "kernels/check.h"

namespace msd {
namespace {

using Colour = std::array<std::uint8_t, 3>;

enum class Packing { plain, run_lengths, masks };

struct BmpHeader {
  std::int64_t w = 0, h = 0;
  bool top_first = false;
  std::uint32_t bits = 0;  // a pixel
  Packing packing = Packing::plain;
  std::array<std::uint32_t, 3> masks{};  // red, green, blue
  std::size_t palette = 0, colours = 0, colour_bytes = 0;
  std::size_t pixels = 0;
};

Packing packing_of(std::uint32_t code, std::uint32_t bits, bool os2) {
  if (code == 0) return Packing::plain;
  if ((code == 1 && bits == 8) || (code == 2 && bits == 4)) return Packing::run_lengths;
  if (!os2 && (code == 3 || code == 6) && (bits == 16 || bits == 24 || bits == 32)) {
    return Packing::masks;
  }
  refuse_image(message("a BMP of compression ", code, " with ", bits, " bits a pixel"));
}

BmpHeader read_bmp_header(EncodedImage file) {
  constexpr std::size_t kFile = 14, kOs2 = 12, kOs2Second = 64, kWindows = 40;
  BmpHeader header;
  header.pixels = little_endian(file, 10, 4);
  const std::size_t size = little_endian(file, kFile, 4);
  if (size != kOs2 && size != kWindows && size != 52 && size != 56 && size != kOs2Second &&
      size != 108 && size != 124) {
    refuse_image(message("a BMP whose header has ", size, " bytes"));
  }
  header.palette = kFile + size;
  header.colour_bytes = size == kOs2 ? 3 : 4;
  if (size == kOs2) {
    header.w = little_endian(file, 18, 2);
    header.h = little_endian(file, 20, 2);
    header.bits = little_endian(file, 24, 2);
  } else {
    const std::int64_t h = static_cast<std::int32_t>(little_endian(file, 22, 4));
    header.w = static_cast<std::int32_t>(little_endian(file, 18, 4));
    header.h = h < 0 ? -h : h;
    header.top_first = h < 0;
    header.bits = little_endian(file, 28, 2);
    header.colours = little_endian(file, 46, 4);
    header.packing = packing_of(little_endian(file, 30, 4), header.bits, size == kOs2Second);
  }
  if (header.bits > 32 || !std::has_single_bit(header.bits)) {
    if (header.bits != 24) refuse_image(message("a BMP of ", header.bits, " bits a pixel"));
  }
  if (header.packing == Packing::masks) {
    for (std::size_t i = 0; i < 3; ++i) header.masks[i] = little_endian(file, 54 + 4 * i, 4);
    if (size == kWindows) header.palette += 12;  // the masks
  }
  if (header.masks == std::array<std::uint32_t, 3>{}) {
    header.masks = {0xff0000, 0xff00, 0xff};
    if (header.bits == 16) header.masks = {0x7c00, 0x3e0, 0x1f};
  }
  if (header.pixels < header.palette) refuse_image("its pixels begin within its header");
  if (header.bits <= 8) {
    const std::size_t all = std::size_t{1} << header.bits;
    if (header.colours == 0 || header.colours > all) header.colours = all;
    const std::size_t room = (header.pixels - header.palette) / header.colour_bytes;
    if (size == kOs2) header.colours = std::min(header.colours, room);  // which does not count them
    if (header.colours > room) refuse_image("its pixels begin within its palette");
  }
  return header;
}

/// The numbers in a file of run lengths: pairs of a count and what is repeated, or of 0 and a
/// command: 0 ends a row, 1 the picture, 2 moves right and up, more are so many numbers as they
/// are.
std::vector<std::uint8_t> unpack_runs(EncodedImage file, const BmpHeader& header) {
  const auto w = static_cast<std::size_t>(header.w), h = static_cast<std::size_t>(header.h);
  std::vector<std::uint8_t> numbers(w * h);
  const bool halves = header.bits == 4;
  std::size_t at = header.pixels, x = 0, y = 0;
  const auto put = [&](std::size_t byte, std::size_t i) {
    const std::uint32_t value = little_endian(file, byte, 1);
    const std::uint32_t number = !halves ? value : i % 2 == 0 ? value >> 4 : value & 15;
    if (x >= w || y >= h) refuse_image("its run lengths leave the picture");
    numbers[y * w + x++] = static_cast<std::uint8_t>(number);
  };
  while (y + 1 < h || (y < h && x < w)) {
    const std::size_t count = little_endian(file, at, 1), value = little_endian(file, at + 1, 1);
    at += 2;
    if (count > 0) {
      // Some writers' last run fills the row up to a multiple of 2 or 4.
      const std::size_t fit = std::min(count, w - std::min(x, w));
      for (std::size_t i = 0; i < fit; ++i) put(at - 1, i);
    } else if (value == 0) {
      x = 0;
      ++y;
    } else if (value == 1) {
      break;
    } else if (value == 2) {
      x += little_endian(file, at, 1);
      y += little_endian(file, at + 1, 1);
      at += 2;
    } else {
      for (std::size_t i = 0; i < value; ++i) put(at + (halves ? i / 2 : i), i);
      const std::size_t bytes = halves ? (value + 1) / 2 : value;
      at += bytes + bytes % 2;
    }
  }
  return numbers;
}

/// What a mask takes out of a pixel, of 255.
std::uint8_t masked(std::uint32_t pixel, std::uint32_t mask) {
  if (mask == 0) return 0;
  const int shift = std::countr_zero(mask);
  const std::uint64_t most = mask >> shift, value = (pixel & mask) >> shift;
  return static_cast<std::uint8_t>((value * 255 + most / 2) / most);
}

}  // namespace

Image decode_bmp(EncodedImage file) {
  const BmpHeader header = read_bmp_header(file);
  const bool runs = header.packing == Packing::run_lengths;
  // A bit a pixel, or two bytes for 255.
  Image image = blank_image(header.h, header.w, file, runs ? 128 : 8);
  const auto w = static_cast<std::size_t>(header.w), h = static_cast<std::size_t>(header.h);
  std::vector<Colour> palette(header.bits <= 8 ? 256 : 0);  // those that the file lacks are black
  for (std::size_t i = 0; i < header.colours && !palette.empty(); ++i) {
    const std::uint32_t colour = little_endian(file, header.palette + i * header.colour_bytes, 3);
    for (std::size_t c = 0; c < 3; ++c) {
      palette[i][c] = static_cast<std::uint8_t>(colour >> (16 - 8 * c));
    }
  }
  for (const std::uint32_t mask : header.masks) {
    const std::uint32_t shifted = mask == 0 ? 0 : mask >> std::countr_zero(mask);
    if ((shifted & (shifted + 1)) != 0) refuse_image("its bit masks have gaps");
  }
  const std::size_t bits = runs ? 8 : header.bits;
  const std::size_t row_bytes = runs ? w : (w * bits + 31) / 32 * 4;
  const std::vector<std::uint8_t> unpacked =
      runs ? unpack_runs(file, header) : std::vector<std::uint8_t>{};
  const EncodedImage content =
      runs ? std::as_bytes(std::span(unpacked)) : part_of(file, header.pixels, h * row_bytes);
  for (std::size_t y = 0; y < h; ++y) {
    const EncodedImage row = content.subspan(y * row_bytes, row_bytes);
    std::uint8_t* to = image.pixels.data() + (header.top_first ? y : h - 1 - y) * w * 3;
    for (std::size_t x = 0; x < w; ++x, to += 3) {
      if (bits <= 8) {
        const auto byte = std::to_integer<std::uint32_t>(row[x * bits / 8]);
        const std::size_t number = byte >> (8 - bits - x * bits % 8) & ((1U << bits) - 1);
        std::copy_n(palette[number].data(), 3, to);
        continue;
      }
      const std::uint32_t pixel = little_endian(row, x * bits / 8, bits / 8);
      for (std::size_t c = 0; c < 3; ++c) to[c] = masked(pixel, header.masks[c]);
    }
  }
  return image;
}

}  // namespace msd
