// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace msd {

/// The endings of image files, for messages.
inline constexpr std::string_view kImageEndings = "jpg, jpeg, png, bmp, ppm or pgm";

/// Paths (`folder`/name) of the files in `folder`, not its subfolders, that end in one of
/// kImageEndings in either case, in byte order. Hidden files (.name) are left out; links are
/// followed, and those that lead nowhere listed. Throws IoError.
std::vector<std::string> list_image_files(const std::string& folder);

}  // namespace msd
