// SPDX-License-Identifier: MIT
#include "data/image_listing.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>

#include "kernels/check.h"

namespace msd {
namespace {

namespace fs = std::filesystem;

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
