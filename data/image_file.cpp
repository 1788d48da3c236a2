// SPDX-License-Identifier: MIT
#include "data/image_file.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <memory>
#include <span>
#include <system_error>

#include "data/decoders/decoders.h"
#include "data/decoders/kind.h"
#include "engine/files/file.h"
#include "kernels/check.h"

namespace msd {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMostPixels = 100'000'000;

bool has_image_ending(const fs::path& path) {
  const std::string name = path.filename().string();
  std::string ending = path.extension().string();
  for (char& letter : ending) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  }
  if (name.starts_with('.') || ending.empty()) return false;
  constexpr std::string_view kBetween = ", ";
  std::string_view known = kImageEndings;
  for (std::size_t size = 0; size < known.size(); known.remove_prefix(size)) {
    known.remove_prefix(known.starts_with(kBetween) ? kBetween.size() : 0);
    size = std::min(known.find(kBetween), known.size());
    if (known.substr(0, size) == ending.substr(1)) return true;
  }
  return false;
}

}  // namespace

Image decode_image(std::span<const std::byte> content) {
  switch (image_kind(content)) {
    case ImageKind::jpeg:
      return decode_jpeg(content);
    case ImageKind::png:
      return decode_png(content);
    case ImageKind::webp:
      return decode_webp(content);
    case ImageKind::bmp:
      return decode_bmp(content);
    case ImageKind::gif:
      return decode_gif(content);
    case ImageKind::pnm:
      return decode_pnm(content);
    case ImageKind::tga:
      return decode_tga(content);
    case ImageKind::other:
      break;
  }
  const std::string name = name_of_other(content);
  throw FormatError(message("not a ", kImageFormats, " image", name.empty() ? "" : ", but ", name));
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
