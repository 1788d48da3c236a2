// SPDX-License-Identifier: MIT
#include "data/image_check.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "kernels/check.h"

namespace msd {
namespace {

using Bytes = std::span<const std::byte>;

std::size_t big_endian(Bytes bytes) {
  std::size_t value = 0;
  for (const std::byte byte : bytes) value = value << 8 | std::to_integer<std::size_t>(byte);
  return value;
}

[[noreturn]] void fail(const char* why) {
  throw FormatError(message("cannot be decoded (", why, ")"));
}

constexpr std::array<std::uint32_t, 256> make_crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    table[i] = i;
    for (int bit = 0; bit < 8; ++bit) table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320u : 0u);
  }
  return table;
}

std::uint32_t crc32(Bytes bytes) {
  static constexpr std::array<std::uint32_t, 256> kTable = make_crc_table();
  std::uint32_t crc = ~0u;
  for (const std::byte byte : bytes) {
    crc = crc >> 8 ^ kTable[(crc ^ std::to_integer<std::uint32_t>(byte)) & 255];
  }
  return ~crc;
}

// After the signature: length, type, content and checksum of each chunk (PNG, section 5.3).
void check_png(Bytes file) {
  constexpr std::size_t kSignature = 8, kAround = 12;
  bool data = false;
  for (Bytes left = file.subspan(kSignature);;) {
    if (left.size() < kAround || big_endian(left.first(4)) > left.size() - kAround) {
      fail("the file is cut short");
    }
    const std::size_t size = big_endian(left.first(4));
    const Bytes checked = left.subspan(4, 4 + size);
    if (big_endian(left.subspan(8 + size, 4)) != crc32(checked)) {
      fail("a chunk does not have its checksum: the file is damaged");
    }
    const std::string_view type(reinterpret_cast<const char*>(checked.data()), 4);
    if (type == "IEND") return;
    if (type == "IDAT" && !data && size == 0) fail("its first IDAT chunk is empty");
    data = data || type == "IDAT";
    left = left.subspan(kAround + size);
  }
}

// What a JPEG has brought when it comes to a scan. The decoder does not ask whether the tables that
// the scan names were among it, and decodes with memory that was never written.
class JpegSegments {
 public:
  void read(unsigned marker, Bytes content) {
    constexpr unsigned kFirstFrame = 0xc0, kProgressive = 0xc2;
    if (marker == kHuffman) huffman_tables(content);
    if (marker == kQuantization) quantization_tables(content);
    if (marker >= kFirstFrame && marker <= kProgressive) {
      progressive_ = marker == kProgressive;
      frame(content);
    }
    if (marker == kScan) scan(content);
  }

  static constexpr unsigned kScan = 0xda;

 private:
  static constexpr unsigned kHuffman = 0xc4, kQuantization = 0xdb;
  static constexpr std::size_t kNumbers = 4;  // of tables of a kind

  struct Component {
    std::byte id;
    unsigned quantization;
  };

  static unsigned high(std::byte byte) { return std::to_integer<unsigned>(byte >> 4); }
  static unsigned low(std::byte byte) { return std::to_integer<unsigned>(byte & std::byte{15}); }

  // Of each table: class and number, 16 counts of codes, the codes (JPEG, B.2.4.2).
  void huffman_tables(Bytes content) {
    constexpr std::size_t kCounts = 17;
    while (content.size() >= kCounts) {
      std::size_t codes = 0;
      for (const std::byte count : content.subspan(1, kCounts - 1)) {
        codes += std::to_integer<std::size_t>(count);
      }
      if (codes > 256) fail("a Huffman table has more than 256 codes");
      if (codes > content.size() - kCounts) break;
      if (high(content[0]) < 2 && low(content[0]) < kNumbers) {
        huffman_[high(content[0])][low(content[0])] = true;
      }
      content = content.subspan(kCounts + codes);
    }
    if (!content.empty()) fail("a Huffman table does not end with its segment");
  }

  // Of each table: precision and number, 64 values of 1 or 2 bytes (B.2.4.1).
  void quantization_tables(Bytes content) {
    while (!content.empty()) {
      const std::size_t size = high(content[0]) == 0 ? 65 : 129;
      if (size > content.size()) fail("a quantization table does not end with its segment");
      if (low(content[0]) < kNumbers) quantization_[low(content[0])] = true;
      content = content.subspan(size);
    }
  }

  // Six bytes, then of each component: its id, sampling, quantization table (B.2.2).
  void frame(Bytes content) {
    constexpr std::size_t kComponents = 6, kEach = 3;
    components_.clear();
    for (std::size_t at = kComponents; at + kEach <= content.size(); at += kEach) {
      components_.push_back({content[at], std::to_integer<unsigned>(content[at + 2])});
    }
  }

  // The count of components, of each its id and Huffman tables, then first and last coefficient
  // and the bits of them that an earlier and this scan leave out (B.2.3).
  void scan(Bytes content) const {
    constexpr std::size_t kAround = 4;
    const std::size_t count = content.empty() ? 0 : std::to_integer<std::size_t>(content[0]);
    if (content.size() != kAround + 2 * count) fail("a scan's header has another length");
    const Bytes coefficients = content.last(kAround - 1);
    const bool from_dc = coefficients[0] == std::byte{0};
    const bool dc = !progressive_ || (from_dc && high(coefficients[2]) == 0);
    const bool ac = !progressive_ || !from_dc;
    for (std::size_t i = 0; i < count; ++i) {
      const std::byte id = content[1 + 2 * i], tables = content[2 + 2 * i];
      if ((dc && !has(huffman_[0], high(tables))) || (ac && !has(huffman_[1], low(tables)))) {
        fail("a scan names a Huffman table that is not in front of it");
      }
      for (const Component& component : components_) {
        if (component.id == id && !has(quantization_, component.quantization)) {
          fail("a scan needs a quantization table that is not in front of it");
        }
      }
    }
  }

  using Known = std::array<bool, kNumbers>;
  static bool has(const Known& known, std::size_t number) {
    return number < kNumbers && known[number];
  }

  std::array<Known, 2> huffman_{};  // for DC, for AC
  Known quantization_{};
  std::vector<Component> components_;
  bool progressive_ = false;
};

// Every marker that the decoder can come to: the segments one after another, and behind a scan's
// header the first marker that is no part of the scan.
void check_jpeg(Bytes file) {
  constexpr unsigned kFirstRestart = 0xd0, kStart = 0xd8, kEnd = 0xd9;
  JpegSegments segments;
  bool in_scan = false;
  for (std::size_t at = 0; at + 1 < file.size();) {
    const auto marker = std::to_integer<unsigned>(file[at + 1]);
    if (file[at] != std::byte{0xff} || marker == 0xff || marker == kStart ||
        (in_scan && (marker == 0 || (marker >= kFirstRestart && marker < kStart)))) {
      ++at;  // between segments, where the decoder skips as well
      continue;
    }
    if (marker == kEnd) return;
    const std::size_t size = file.size() - at < 4 ? 0 : big_endian(file.subspan(at + 2, 2));
    if (size < 2 || size > file.size() - at - 2) fail("the file is cut short");
    segments.read(marker, file.subspan(at + 4, size - 2));
    in_scan = marker == JpegSegments::kScan;
    at += 2 + size;
  }
}

// Width, height and greatest value in decimal, between them spaces and comments to the line's end.
void check_ppm(Bytes file) {
  std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  text.remove_prefix(2);
  constexpr std::string_view kDigits = "0123456789";
  std::string_view number;
  for (int i = 0; i < 3; ++i) {
    for (;;) {
      text.remove_prefix(std::min(text.find_first_not_of(" \t\n\v\f\r"), text.size()));
      if (!text.starts_with('#')) break;
      text.remove_prefix(std::min(text.find_first_of("\n\r"), text.size()));
    }
    number = text.substr(0, text.find_first_not_of(kDigits));
    if (number.size() > 9) fail("a number of its header is too large");
    text.remove_prefix(number.size());
  }
  if (number.size() > 3 || (number.size() == 3 && number > "255")) {
    fail("its values have more than 8 bits");
  }
}

}  // namespace

void check_image(Bytes file) {
  constexpr unsigned char kPng[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  if (file.size() > sizeof(kPng) && std::memcmp(file.data(), kPng, sizeof(kPng)) == 0) {
    check_png(file);
  } else if (!file.empty() && file[0] == std::byte{0xff}) {
    check_jpeg(file);
  } else if (file.size() > 2 && file[0] == std::byte{'P'}) {
    check_ppm(file);
  }
}

}  // namespace msd
