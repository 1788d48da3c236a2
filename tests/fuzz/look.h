// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string_view>

#include "data/image_file.h"
#include "engine/tensor.h"

namespace msd::fuzz {

/// Reads every byte of a tensor's elements, where a sanitizer sees whether it may.
inline void look_at(const Tensor& tensor) {
  const Tensor packed = tensor.contiguous();
  const auto* bytes = static_cast<const volatile std::byte*>(packed.data());
  const std::int64_t size = packed.elems() * size_bytes(packed.dtype());
  for (std::int64_t i = 0; i < size; ++i) static_cast<void>(bytes[i]);
}

/// An image must have the pixels of its size.
inline void look_at(const Image& image) {
  if (image.h < 1 || image.w < 1 ||
      static_cast<std::int64_t>(image.pixels.size()) != image.h * image.w * 3) {
    throw std::logic_error("an image whose pixels are not of its size");
  }
}

inline void look_at(std::string_view text) {
  const volatile char* bytes = text.data();
  for (std::size_t i = 0; i < text.size(); ++i) static_cast<void>(bytes[i]);
}

}  // namespace msd::fuzz
