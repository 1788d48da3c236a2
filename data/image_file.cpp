// SPDX-License-Identifier: MIT
#include "data/image_file.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <limits>
#include <memory>
#include <span>

#include "data/image_check.h"
#include "engine/files/file.h"
#include "kernels/check.h"

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_NO_STDIO
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_ONLY_PNM
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

constexpr std::int64_t kMostPixels = 100'000'000;

/// A file's bytes as stb reads them through callbacks. In memory it takes what lies beyond the end
/// for zeros, or leaves it out, and calls a file that was cut short an image; here that shows.
class ByteSource {
 public:
  explicit ByteSource(std::span<const std::byte> bytes) : bytes_(bytes) {}

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

  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
  const char* window_ = nullptr;
  bool overrun_ = false;
};

/// The old pixels one new pixel sees along one axis: from `first`, weights that sum to 1.
struct Taps {
  std::int64_t first = 0;
  std::vector<double> weights;
};

std::vector<Taps> make_taps(std::int64_t old_size, std::int64_t new_size) {
  const double scale = static_cast<double>(old_size) / static_cast<double>(new_size);
  const double reach = std::max(1.0, scale);
  std::vector<Taps> taps(static_cast<std::size_t>(new_size));
  for (std::size_t i = 0; i < taps.size(); ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale - 0.5;  // in old pixels
    const auto first = std::max<std::int64_t>(0, static_cast<std::int64_t>(center - reach + 1.0));
    const auto last = std::min(old_size - 1, static_cast<std::int64_t>(center + reach));
    taps[i].first = first;
    double sum = 0.0;
    for (std::int64_t at = first; at <= last; ++at) {
      const double away = std::abs(static_cast<double>(at) - center) / reach;
      taps[i].weights.push_back(std::max(0.0, 1.0 - away));
      sum += taps[i].weights.back();
    }
    for (double& weight : taps[i].weights) weight /= sum;
  }
  return taps;
}

/// More than any file of the format can hold, so that a few bytes cannot ask for much memory. PNG:
/// deflate makes at most 1032 bytes of one, each of 8 pixels. JPEG: at least one bit for each block
/// of 64 pixels. The others: one bit a pixel.
std::int64_t most_pixels_per_byte(std::span<const std::byte> file) {
  if (file[0] == std::byte{0x89}) return 1032 * 8;
  return file[0] == std::byte{0xff} ? 64 * 8 : 8;
}

}  // namespace

Image decode_image(std::span<const std::byte> content) {
  if (content.size() > std::numeric_limits<int>::max()) {
    throw FormatError(message(content.size(), " bytes are too many for an image"));
  }
  check_image(content);
  const auto* data = reinterpret_cast<const stbi_uc*>(content.data());
  const int bytes = static_cast<int>(content.size());
  int w = 0, h = 0, channels = 0;
  if (stbi_info_from_memory(data, bytes, &w, &h, &channels) == 0) {
    throw FormatError(
        message("not a JPEG, PNG, BMP, PPM or PGM image (", stbi_failure_reason(), ")"));
  }
  const std::int64_t rows = std::abs(std::int64_t{h});  // below 0: a BMP whose top row comes first
  if (w < 1 || rows < 1 || w * rows > kMostPixels) {
    throw FormatError(message(w, "x", rows, " pixels; at most ", kMostPixels, " can be decoded"));
  }
  if (w * rows / most_pixels_per_byte(content) > bytes) {
    throw FormatError(message("cannot be decoded (", bytes, " bytes cannot hold ", w, "x", rows,
                              " pixels; the file is cut short)"));
  }
  ByteSource source(content);
  const stbi_io_callbacks callbacks = ByteSource::callbacks();
  const std::unique_ptr<stbi_uc, decltype(&stbi_image_free)> decoded(
      stbi_load_from_callbacks(&callbacks, &source, &w, &h, &channels, 3), &stbi_image_free);
  if (source.overrun()) throw FormatError("cannot be decoded (the file is cut short)");
  if (decoded == nullptr) {
    throw FormatError(message("cannot be decoded (", stbi_failure_reason(), ")"));
  }
  const std::ptrdiff_t elems = std::ptrdiff_t{w} * h * 3;
  return {h, w, std::vector<std::uint8_t>(decoded.get(), decoded.get() + elems)};
}

Image decode_image_file(const std::string& path) {
  const std::vector<std::byte> content = read_file(path);
  try {
    return decode_image(content);
  } catch (const FormatError& error) {
    throw FormatError(path + ": " + error.what());
  }
}

Image resize_to(const Image& image, std::int64_t h, std::int64_t w) {
  MSD_CHECK(h >= 1 && w >= 1 && h * w <= kMostPixels, "resize to ", h, "x", w);
  MSD_CHECK(image.h >= 1 && image.w >= 1 &&
                static_cast<std::int64_t>(image.pixels.size()) == image.h * image.w * 3,
            "resize of ", image.h, "x", image.w);
  if (h == image.h && w == image.w) return image;
  const std::vector<Taps> columns = make_taps(image.w, w), rows = make_taps(image.h, h);
  // Old rows, narrowed or widened first, then joined; floats in between.
  std::vector<float> wide(static_cast<std::size_t>(image.h * w * 3));
  std::size_t at = 0;
  for (std::int64_t y = 0; y < image.h; ++y) {
    for (const Taps& taps : columns) {
      const std::uint8_t* in = image.pixels.data() + (y * image.w + taps.first) * 3;
      std::array<double, 3> sum{};
      for (const double weight : taps.weights) {
        for (double& channel : sum) channel += weight * *in++;
      }
      for (const double channel : sum) wide[at++] = static_cast<float>(channel);
    }
  }
  Image out{h, w, std::vector<std::uint8_t>(static_cast<std::size_t>(h * w * 3))};
  at = 0;
  for (const Taps& taps : rows) {
    for (std::int64_t x = 0; x < w * 3; ++x) {
      double sum = 0.5;
      const float* in = wide.data() + taps.first * w * 3 + x;
      for (const double weight : taps.weights) {
        sum += weight * static_cast<double>(*in);
        in += w * 3;
      }
      out.pixels[at++] = static_cast<std::uint8_t>(std::clamp(sum, 0.0, 255.0));
    }
  }
  return out;
}

Image center_crop(const Image& image, std::int64_t h, std::int64_t w) {
  MSD_CHECK(h >= 1 && w >= 1 && h <= image.h && w <= image.w, "centre crop of ", h, "x", w,
            " from ", image.h, "x", image.w);
  Image out{h, w, {}};
  out.pixels.reserve(static_cast<std::size_t>(h * w * 3));
  const std::int64_t top = (image.h - h) / 2, left = (image.w - w) / 2;
  for (std::int64_t y = 0; y < h; ++y) {
    const auto from = image.pixels.begin() + ((top + y) * image.w + left) * 3;
    out.pixels.insert(out.pixels.end(), from, from + w * 3);
  }
  return out;
}

Image fit_to(const Image& image, std::int64_t h, std::int64_t w, std::int64_t short_side) {
  MSD_CHECK(h >= 1 && w >= 1 && image.h >= 1 && image.w >= 1, "fit of ", image.h, "x", image.w,
            " to ", h, "x", w);
  const auto old_h = static_cast<double>(image.h), old_w = static_cast<double>(image.w);
  const double scale =
      short_side > 0 ? static_cast<double>(short_side) / std::min(old_h, old_w)
                     : std::max(static_cast<double>(h) / old_h, static_cast<double>(w) / old_w);
  const auto new_h = std::max<std::int64_t>(1, std::llround(old_h * scale));
  const auto new_w = std::max<std::int64_t>(1, std::llround(old_w * scale));
  return center_crop(resize_to(image, new_h, new_w), h, w);
}

}  // namespace msd
