// SPDX-License-Identifier: MIT
// Own, as stb_image draws transparent pixels in the background's colour, ends at tables that stay
// full, and takes missing pixels for black.
#include <algorithm>
#include <array>
#include <vector>

#include "data/decoders/decoders.h"

namespace msd {
namespace {

constexpr std::size_t kGifHeader = 13;

std::size_t gif_number(EncodedImage file, std::size_t at) { return little_endian(file, at, 2); }

/// The bytes of blocks (a length, so many bytes, ..., 0) from `at`, which is left behind them.
std::vector<std::uint8_t> gif_blocks(EncodedImage file, std::size_t& at) {
  std::vector<std::uint8_t> bytes;
  for (std::size_t size = 0; (size = little_endian(file, at++, 1)) != 0; at += size) {
    for (const std::byte byte : part_of(file, at, size)) {
      bytes.push_back(std::to_integer<std::uint8_t>(byte));
    }
  }
  return bytes;
}

/// `count` colour numbers of LZW codes, which begin with `first_bits` + 1 bits.
std::vector<std::uint8_t> gif_colours(const std::vector<std::uint8_t>& codes, unsigned first_bits,
                                      std::size_t count) {
  constexpr std::size_t kCodes = 4096;
  if (first_bits < 1 || first_bits > 11) refuse_image("codes of a wrong size");
  const std::size_t clear = std::size_t{1} << first_bits, end = clear + 1;
  // A code stands for the colours of the code before it and one more.
  std::array<std::uint16_t, kCodes> before{};
  std::array<std::uint8_t, kCodes> colour{};
  std::array<std::uint16_t, kCodes> length{};
  for (std::size_t code = 0; code < std::min<std::size_t>(clear, 256); ++code) {
    colour[code] = static_cast<std::uint8_t>(code);
    length[code] = 1;
  }
  std::vector<std::uint8_t> colours(count);
  std::size_t made = 0, known = end + 1, last = clear;
  unsigned size = first_bits + 1, bits = 0;
  std::uint32_t window = 0;
  for (std::size_t at = 0; made < count;) {
    for (; bits < size; bits += 8) {
      if (at == codes.size()) refuse_image("pixels are missing");
      window |= std::uint32_t{codes[at++]} << bits;
    }
    const std::size_t code = window & ((1U << size) - 1);
    window >>= size;
    bits -= size;
    if (code == end) refuse_image("pixels are missing");
    if (code == clear) {
      known = end + 1;
      size = first_bits + 1;
      last = clear;
      continue;
    }
    const bool adds = last != clear && known < kCodes;
    if (code > known || (code == known ? !adds : length[code] == 0)) {
      refuse_image("a code that nothing stands for");
    }
    if (adds) {
      before[known] = static_cast<std::uint16_t>(last);
      length[known] = static_cast<std::uint16_t>(length[last] + 1);
    }
    const std::size_t from = made;
    made = std::min(count, made + length[code]);
    std::size_t part = code;
    for (std::size_t i = from + length[code]; i-- > from; part = before[part]) {
      // The code being added ends with its own first colour, which is found last.
      if (i < count) colours[i] = colour[part];
      if (i == from && adds) colour[known] = colour[part];
    }
    if (adds && code == known && from + length[code] <= count) {
      colours[from + length[code] - 1] = colour[known];
    }
    if (adds && ++known == std::size_t{1} << size && size < 12) ++size;
    last = code;
  }
  return colours;
}

/// The file's row that comes y-th where they are interlaced.
std::vector<std::size_t> gif_rows(std::size_t h, bool interlaced) {
  std::vector<std::size_t> rows;
  constexpr std::array<std::array<std::size_t, 2>, 4> kPasses = {{{0, 8}, {4, 8}, {2, 4}, {1, 2}}};
  for (const auto& [first, step] : kPasses) {
    for (std::size_t y = first; interlaced && y < h; y += step) rows.push_back(y);
  }
  for (std::size_t y = 0; !interlaced && y < h; ++y) rows.push_back(y);
  return rows;
}

struct GifPalette {
  EncodedImage colours;  // empty: the numbers are grey levels
  void paint(std::size_t number, std::uint8_t* to) const {
    for (std::size_t c = 0; c < 3; ++c) {
      const std::size_t at = 3 * number + c;
      to[c] = colours.empty()       ? static_cast<std::uint8_t>(number)
              : at < colours.size() ? std::to_integer<std::uint8_t>(colours[at])
                                    : std::uint8_t{0};
    }
  }
};

/// The palette that `flags` tell of, behind which `at` is left.
void read_gif_palette(EncodedImage file, std::uint32_t flags, std::size_t& at,
                      GifPalette& palette) {
  if ((flags & 0x80) == 0) return;
  palette.colours = part_of(file, at, std::size_t{6} << (flags & 7));
  at += palette.colours.size();
}

}  // namespace

Image decode_gif(EncodedImage file) {
  std::size_t at = kGifHeader, background = 0;
  GifPalette palette;
  read_gif_palette(file, little_endian(file, 10, 1), at, palette);
  for (;;) {
    const std::uint32_t kind = little_endian(file, at++, 1);
    if (kind == ',') break;
    if (kind == ';') refuse_image("a GIF without a picture");
    if (kind != '!') continue;  // as readers do
    const std::uint32_t extension = little_endian(file, at++, 1);
    const std::vector<std::uint8_t> content = gif_blocks(file, at);
    if (extension == 0xf9 && content.size() >= 4 && (content[0] & 1) != 0) background = content[3];
  }
  const std::size_t left = gif_number(file, at), top = gif_number(file, at + 2),
                    w = gif_number(file, at + 4), h = gif_number(file, at + 6);
  const std::uint32_t flags = little_endian(file, at + 8, 1);
  at += 9;
  read_gif_palette(file, flags, at, palette);
  if (w == 0 || h == 0) refuse_image("its first frame has no pixels");
  const std::size_t canvas_w = std::max(gif_number(file, 6), left + w),
                    canvas_h = std::max(gif_number(file, 8), top + h);
  // The longest code stands for 4096 pixels in 12 bits.
  Image image = blank_image(static_cast<std::int64_t>(canvas_h),
                            static_cast<std::int64_t>(canvas_w), file, 4096);
  const unsigned first_bits = little_endian(file, at++, 1);
  const std::vector<std::uint8_t> colours = gif_colours(gif_blocks(file, at), first_bits, w * h);
  little_endian(file, at, 1);  // more, or the end's sign
  if (w < canvas_w || h < canvas_h) {
    for (std::size_t i = 0; i < image.pixels.size(); i += 3) {
      palette.paint(background, image.pixels.data() + i);
    }
  }
  const std::uint8_t* number = colours.data();
  for (const std::size_t y : gif_rows(h, (flags & 0x40) != 0)) {
    std::uint8_t* to = image.pixels.data() + ((top + y) * canvas_w + left) * 3;
    for (std::size_t x = 0; x < w; ++x, to += 3) palette.paint(*number++, to);
  }
  return image;
}

}  // namespace msd
