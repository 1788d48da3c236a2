// SPDX-License-Identifier: MIT
#include "data/decoders/encoded_image.h"

#include "kernels/check.h"

namespace msd {

void refuse_image(const std::string& why) {
  throw FormatError(message("cannot be decoded (", why, ")"));
}

EncodedImage part_of(EncodedImage file, std::size_t at, std::size_t size) {
  if (at > file.size() || size > file.size() - at) refuse_image(kImageCutShort);
  return file.subspan(at, size);
}

std::uint32_t little_endian(EncodedImage file, std::size_t at, std::size_t size) {
  const EncodedImage part = part_of(file, at, size);
  std::uint32_t value = 0;
  for (std::size_t i = size; i-- > 0;) value = value << 8 | std::to_integer<std::uint32_t>(part[i]);
  return value;
}

std::uint32_t big_endian(EncodedImage file, std::size_t at, std::size_t size) {
  std::uint32_t value = 0;
  for (const std::byte byte : part_of(file, at, size)) {
    value = value << 8 | std::to_integer<std::uint32_t>(byte);
  }
  return value;
}

Image blank_image(std::int64_t h, std::int64_t w, EncodedImage file, std::int64_t most_a_byte) {
  constexpr std::int64_t kMostPixels = 100'000'000;
  if (w < 1 || h < 1 || w > kMostPixels / h) {
    throw FormatError(message(w, "x", h, " pixels; 1 to ", kMostPixels, " can be decoded"));
  }
  const auto bytes = static_cast<std::int64_t>(file.size());
  if (w * h / most_a_byte > bytes) {
    refuse_image(message(bytes, " bytes cannot hold ", w, "x", h, " pixels; ", kImageCutShort));
  }
  return {h, w, std::vector<std::uint8_t>(static_cast<std::size_t>(w * h * 3))};
}

}  // namespace msd
