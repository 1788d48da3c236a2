// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace msd {

/// The endings of image files, in lower case: the one list of them.
inline constexpr std::array<std::string_view, 12> kImageEndings = {
    "jpg", "jpeg", "jfif", "png", "webp", "bmp", "gif", "ppm", "pgm", "pbm", "pnm", "tga"};
/// "jpg, jpeg, ..., pnm or tga", for messages.
std::string image_endings_text();

/// What a listing passed over, counted, so that a program can say it.
struct LeftOut {
  std::map<std::string, std::int64_t> by_ending;  // files: ".txt", or "" where there is none
  std::int64_t hidden = 0;                        // files and folders called .name
  std::int64_t special = 0;                       // pipes, sockets and devices
  std::int64_t beside_classes = 0;                // files where class folders lie

  void add(const LeftOut& other);
  /// "3 files that are no images by their names (.json, .txt), 1 hidden"; "" where there is
  /// nothing.
  std::string text() const;
};

/// A file that an image is expected in. Where `fault` is not empty, something that cannot be opened
/// lies there instead, such as a folder that cannot be listed, and it says why.
struct ListedImage {
  std::string path;  // FOLDER/SUB/NAME
  std::string fault;

  /// Throws IoError where there is a fault.
  void require_usable() const;
};

struct ImageListing {
  std::vector<ListedImage> images;
  LeftOut left_out;
};

/// The image files in `folder` and in all folders below it, by their endings in either case. In the
/// order of torchvision's ImageFolder: folder by folder in byte order of their paths, in each the
/// files in byte order of their names; files of `folder` itself come first. Links are followed. One
/// that leads nowhere is listed whatever its name, so that whoever opens it says what is missing,
/// and so is, with its fault, one that leads to a folder it lies in and a folder that cannot be
/// listed. Hidden files and folders (.name) are left out, unlike in torchvision. Throws IoError
/// where `folder` cannot be listed, and FormatError where more than 100 links lead in circles.
ImageListing list_image_files(const std::string& folder);

}  // namespace msd
