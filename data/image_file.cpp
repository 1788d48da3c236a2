// SPDX-License-Identifier: MIT
#include "data/image_file.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <memory>
#include <span>
#include <system_error>

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

namespace fs = std::filesystem;

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

/// More than any file of the format can hold, so that a few bytes cannot ask for much memory. PNG:
/// deflate makes at most 1032 bytes of one, each of 8 pixels. JPEG: at least one bit for each block
/// of 64 pixels. The others: one bit a pixel.
std::int64_t most_pixels_per_byte(std::span<const std::byte> file) {
  if (file[0] == std::byte{0x89}) return 1032 * 8;
  return file[0] == std::byte{0xff} ? 64 * 8 : 8;
}

bool has_image_ending(const fs::path& path) {
  const std::string name = path.filename().string();
  std::string ending = path.extension().string();
  for (char& letter : ending) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  }
  constexpr std::array<std::string_view, 6> kKnown = {".jpg", ".jpeg", ".png",
                                                      ".bmp", ".ppm",  ".pgm"};
  return !name.starts_with('.') && std::find(kKnown.begin(), kKnown.end(), ending) != kKnown.end();
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

std::vector<std::string> list_image_files(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (!has_image_ending(at->path())) continue;
    std::error_code ignored;
    const fs::file_type type = at->status(ignored).type();  // of what a link points to
    // A link to nothing is listed, so that whoever opens it says what is missing.
    if (type == fs::file_type::regular || type == fs::file_type::not_found ||
        type == fs::file_type::none) {
      paths.push_back(at->path().string());
    }
  }
  if (error) throw IoError(message("cannot list ", folder, ": ", error.message()));
  std::sort(paths.begin(), paths.end());  // char_traits<char> compares unsigned bytes
  return paths;
}

}  // namespace msd
