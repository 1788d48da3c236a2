// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace msd {

/// Labelled images of one size, in memory.
struct ImageSet {
  std::vector<std::uint8_t> images;  // [size()][h][w][c], no gaps; c = 3 is red, green, blue
  std::vector<std::int32_t> labels;  // [size()], in [0, classes)
  std::vector<std::string> names;    // [size()], "CLASS/FILE"; of a folder of images only
  std::int64_t h = 0, w = 0, c = 0;

  std::int64_t size() const { return static_cast<std::int64_t>(labels.size()); }
  std::int64_t image_elems() const { return h * w * c; }
  /// The h * w * c bytes of image i; i in [0, size()).
  std::span<const std::uint8_t> image(std::int64_t i) const {
    return std::span(images).subspan(static_cast<std::size_t>(i * image_elems()),
                                     static_cast<std::size_t>(image_elems()));
  }
};

/// A data set with its two parts and what a network needs to know of it.
struct Dataset {
  std::string name;                      // as the option that chose it: "cifar10"
  std::vector<std::string> class_names;  // [classes]
  std::array<float, 3> mean{}, std{};    // per channel, in grey levels 0 .. 255
  ImageSet train, test;
  std::string fingerprint;  // of train and test, see fingerprint()
  // What a person should know of how it was read, such as files left out; a line each.
  std::vector<std::string> remarks;

  std::int64_t classes() const { return static_cast<std::int64_t>(class_names.size()); }
};

/// Sets data.mean and data.std to those of data.train, which has an image and c = 3: from exact
/// integer sums, so the same bits on every machine. std is 1 for a channel that is one value
/// everywhere, which normalising then makes 0.
void set_channel_statistics(Dataset& data);

/// A Hash's text (engine/files/hash.h) over, for train and then test: size, h, w, c as 8 bytes
/// each, the image bytes, the labels as 4 bytes each; little-endian.
std::string fingerprint(const ImageSet& train, const ImageSet& test);

}  // namespace msd
