// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "data/decoders/decoders.h"

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_NO_STDIO
#define STBI_ONLY_TGA
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#include <stb_image.h>
#pragma GCC diagnostic pop

namespace msd {
namespace {

/// A file's bytes as stb reads them through callbacks. In memory it takes what lies beyond the end
/// for zeros, or leaves it out, and calls a file that was cut short an image; here that shows.
class ByteSource {
 public:
  explicit ByteSource(EncodedImage bytes) : bytes_(bytes) {}

  /// True once the decoder needed more than there is.
  bool overrun() const { return overrun_; }

  static stbi_io_callbacks callbacks() {
    return {[](void* self, char* to, int size) { return of(self).read(to, size); },
            [](void* self, int size) { of(self).skip(size); },
            [](void* self) { return of(self).left() == 0 ? 1 : 0; }};
  }

 private:
  static ByteSource& of(void* self) { return *static_cast<ByteSource*>(self); }
  std::size_t left() const { return bytes_.size() - at_; }
  void skip(int size) { at_ += std::min(left(), static_cast<std::size_t>(std::max(size, 0))); }
  int read(char* to, int size) {
    if (window_ == nullptr) window_ = to;
    const std::size_t got = std::min(left(), static_cast<std::size_t>(size));
    // stb's window, the target of its first read, is filled ahead of need and may stay part empty.
    if (got == 0 || (to != window_ && got < static_cast<std::size_t>(size))) overrun_ = true;
    std::copy_n(reinterpret_cast<const char*>(bytes_.data()) + at_, got, to);
    at_ += got;
    return static_cast<int>(got);
  }

  EncodedImage bytes_;
  std::size_t at_ = 0;
  const char* window_ = nullptr;
  bool overrun_ = false;
};

constexpr std::size_t kTgaHeader = 18;

struct TgaHeader {
  explicit TgaHeader(EncodedImage file)
      : palette(little_endian(file, 1, 1)),
        kind(little_endian(file, 2, 1)),
        first_colour(little_endian(file, 3, 2)),
        colours(little_endian(file, 5, 2)),
        colour_bits(little_endian(file, 7, 1)),
        w(little_endian(file, 12, 2)),
        h(little_endian(file, 14, 2)),
        bits(little_endian(file, 16, 1)),
        order(little_endian(file, 17, 1)) {}

  std::uint32_t palette, kind, first_colour, colours, colour_bits, w, h, bits, order;
};

/// The same with all 256 colours from 0 on, black where it has none: stb takes its first colour for
/// those that a palette lacks, and bytes for colours where it does not begin with 0.
std::vector<std::byte> with_whole_palette(EncodedImage file, const TgaHeader& header) {
  constexpr std::size_t kColours = 256, kFirst = 3;
  const std::size_t each = (header.colour_bits + 7) / 8, first = header.first_colour;
  const std::size_t begin = kTgaHeader + little_endian(file, 0, 1), size = header.colours * each;
  const EncodedImage known = part_of(file, begin, size);
  const EncodedImage before = file.first(begin), behind = file.subspan(begin + size);
  std::vector<std::byte> palette(kColours * each);
  if (first < kColours) {
    std::copy_n(known.begin(), std::min<std::size_t>(size, (kColours - first) * each),
                palette.data() + first * each);
  }
  std::vector<std::byte> whole(before.begin(), before.end());
  constexpr std::array kNumbers = {std::byte{0}, std::byte{0}, std::byte{0}, std::byte{1}};
  std::copy(kNumbers.begin(), kNumbers.end(), whole.begin() + kFirst);
  whole.insert(whole.end(), palette.begin(), palette.end());
  whole.insert(whole.end(), behind.begin(), behind.end());
  return whole;
}

}  // namespace

bool looks_like_tga(EncodedImage file) {
  if (file.size() < kTgaHeader) return false;
  const TgaHeader header(file);
  const std::uint32_t bits = header.bits, kind = header.kind & ~8U;  // 8: run lengths
  constexpr std::uint32_t kReserved = 0xc0;
  if (header.w == 0 || header.h == 0 || (header.order & kReserved) != 0) return false;
  if (header.palette == 1) {
    return kind == 1 && bits == 8 && header.colours > 0 &&
           (header.colour_bits == 15 || header.colour_bits == 16 || header.colour_bits == 24 ||
            header.colour_bits == 32);
  }
  return header.palette == 0 && header.first_colour == 0 && header.colours == 0 &&
         ((kind == 2 && (bits == 15 || bits == 16 || bits == 24 || bits == 32)) ||
          (kind == 3 && (bits == 8 || bits == 16)));
}

Image decode_tga(EncodedImage file) {
  const TgaHeader header(file);
  // Two bytes for 128 pixels.
  Image image = blank_image(header.h, header.w, file, 64);
  const std::vector<std::byte> rewritten =
      header.palette == 1 ? with_whole_palette(file, header) : std::vector<std::byte>{};
  ByteSource source(rewritten.empty() ? file : EncodedImage(rewritten));
  const stbi_io_callbacks callbacks = ByteSource::callbacks();
  int w = 0, h = 0, channels = 0;
  const std::unique_ptr<stbi_uc, decltype(&stbi_image_free)> decoded(
      stbi_load_from_callbacks(&callbacks, &source, &w, &h, &channels, 3), &stbi_image_free);
  if (source.overrun()) refuse_image(kImageCutShort);
  if (decoded == nullptr) refuse_image(stbi_failure_reason());
  constexpr std::uint32_t kLeftwards = 0x10;  // which stb passes over
  const std::size_t columns = header.w;
  for (std::size_t i = 0; i < columns * header.h; ++i) {
    const std::size_t x = i % columns;
    const std::size_t to = (header.order & kLeftwards) != 0 ? i - x + (columns - 1 - x) : i;
    std::copy_n(decoded.get() + 3 * i, 3, image.pixels.data() + 3 * to);
  }
  return image;
}

}  // namespace msd
