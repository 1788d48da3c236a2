// SPDX-License-Identifier: MIT
#include "data/image_check.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "kernels/error.h"

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

// Tables of one segment: class and number, 16 counts of codes, the codes (JPEG, B.2.4.2).
void check_huffman_tables(Bytes content) {
  constexpr std::size_t kCounts = 17;
  while (content.size() >= kCounts) {
    std::size_t codes = 0;
    for (const std::byte count : content.subspan(1, kCounts - 1)) {
      codes += std::to_integer<std::size_t>(count);
    }
    if (codes > 256) fail("a Huffman table has more than 256 codes");
    if (codes > content.size() - kCounts) break;
    content = content.subspan(kCounts + codes);
  }
  if (!content.empty()) fail("a Huffman table does not end with its segment");
}

// Every marker that the decoder can come to: the segments one after another, and behind a scan's
// header the first marker that is no part of the scan.
void check_jpeg(Bytes file) {
  constexpr unsigned kFirstRestart = 0xd0, kStart = 0xd8, kEnd = 0xd9, kScan = 0xda, kTables = 0xc4;
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
    if (marker == kTables) check_huffman_tables(file.subspan(at + 4, size - 2));
    in_scan = marker == kScan;
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
