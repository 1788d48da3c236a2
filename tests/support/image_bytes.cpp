// SPDX-License-Identifier: MIT
#include "tests/support/image_bytes.h"

#include <array>
#include <string>

#include "engine/random.h"

namespace msd::test {

Image noise(std::int64_t h, std::int64_t w, std::uint64_t seed) {
  Image image{h, w, {}};
  RandomStream random(seed, RandomPurpose::test);
  for (std::int64_t i = 0; i < h * w * 3; ++i) {
    image.pixels.push_back(static_cast<std::uint8_t>(random.below(256)));
  }
  return image;
}

Bytes ppm(const Image& image) {
  const std::string head =
      "P6\n" + std::to_string(image.w) + " " + std::to_string(image.h) + "\n255\n";
  Bytes bytes(head.begin(), head.end());
  bytes.insert(bytes.end(), image.pixels.begin(), image.pixels.end());
  return bytes;
}

Bytes bmp(const Image& image) {
  const std::int64_t row = (image.w * 3 + 3) / 4 * 4;
  Bytes bytes = {'B', 'M'};
  const auto put = [&bytes](std::int64_t value, int count) {
    for (int i = 0; i < count; ++i) bytes.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  };
  put(54 + row * image.h, 4);
  put(0, 4);
  put(54, 4);
  put(40, 4);
  put(image.w, 4);
  put(image.h, 4);
  put(1, 2);
  put(24, 2);
  bytes.insert(bytes.end(), 24, 0);
  for (std::int64_t y = image.h - 1; y >= 0; --y) {
    for (std::int64_t x = 0; x < image.w; ++x) {
      for (std::int64_t c = 2; c >= 0; --c) {
        bytes.push_back(image.pixels[static_cast<std::size_t>((y * image.w + x) * 3 + c)]);
      }
    }
    for (std::int64_t x = image.w * 3; x < row; ++x) bytes.push_back(0);
  }
  return bytes;
}

Bytes png(std::int64_t h, std::int64_t w, int channels, const Bytes& pixels) {
  Bytes bytes = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  const auto put = [](Bytes& to, std::uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) {
      to.push_back(static_cast<std::uint8_t>(value >> shift));
    }
  };
  const auto chunk = [&](const char* name, const Bytes& body) {
    put(bytes, static_cast<std::uint32_t>(body.size()));
    Bytes checked(name, name + 4);
    checked.insert(checked.end(), body.begin(), body.end());
    std::uint32_t crc = 0xffffffff;
    for (const std::uint8_t byte : checked) {
      crc ^= byte;
      for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0u);
    }
    bytes.insert(bytes.end(), checked.begin(), checked.end());
    put(bytes, ~crc);
  };
  Bytes header;
  put(header, static_cast<std::uint32_t>(w));
  put(header, static_cast<std::uint32_t>(h));
  const std::array<std::uint8_t, 5> kind = {0, 0, 4, 2, 6};
  header.insert(header.end(), {8, kind[static_cast<std::size_t>(channels)], 0, 0, 0});
  chunk("IHDR", header);
  Bytes raw;
  for (std::int64_t y = 0; y < h; ++y) {
    raw.push_back(0);  // no filter
    const auto row = pixels.begin() + y * w * channels;
    raw.insert(raw.end(), row, row + w * channels);
  }
  Bytes packed = {0x78, 0x01, 1};
  for (const std::uint32_t size :
       {static_cast<std::uint32_t>(raw.size()), ~static_cast<std::uint32_t>(raw.size())}) {
    packed.push_back(static_cast<std::uint8_t>(size));
    packed.push_back(static_cast<std::uint8_t>(size >> 8));
  }
  packed.insert(packed.end(), raw.begin(), raw.end());
  std::uint32_t a = 1, b = 0;
  for (const std::uint8_t byte : raw) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  put(packed, b << 16 | a);
  chunk("IDAT", packed);
  chunk("IEND", {});
  return bytes;
}

Bytes jpeg() {
  Bytes bytes;
  const auto append = [&bytes](const Bytes& more) {
    bytes.insert(bytes.end(), more.begin(), more.end());
  };
  append({0xff, 0xd8, 0xff, 0xdb, 0x00, 0x43, 0x00});
  append(Bytes(64, 8));  // the quantisation table
  append({0xff, 0xc0, 0x00, 0x11, 0x08, 0x00, 0x08, 0x00, 0x10, 0x03, 0x01, 0x11, 0x00, 0x02, 0x11,
          0x00, 0x03, 0x11, 0x00});
  // Huffman tables: class and number; how many codes of 1, of 2, ... bits; the values.
  const Bytes no_longer_codes(14, 0);
  append({0xff, 0xc4, 0x00, 21, 0x00, 1, 1});
  append(no_longer_codes);
  append({0x04, 0x05, 0xff, 0xc4, 0x00, 20, 0x10, 1, 0});
  append(no_longer_codes);
  append({0x00, 0xff, 0xc4, 0x00, 21, 0x01, 1, 1});
  append(no_longer_codes);
  append({0x07, 0x06, 0xff, 0xc4, 0x00, 20, 0x11, 1, 0});
  append(no_longer_codes);
  append({0x00, 0xff, 0xda, 0x00, 0x0c, 0x03, 0x01, 0x00, 0x02, 0x11, 0x03, 0x11,
          0x00, 0x3f, 0x00, 0x86, 0x9d, 0x24, 0x02, 0x68, 0x07, 0xbf, 0xff, 0xd9});
  return bytes;
}

}  // namespace msd::test
