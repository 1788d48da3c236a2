// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "apps/common/model_file.h"
#include "data/image_file.h"
#include "engine/image_fit.h"

namespace msd {

/// Images to classify, all of one network's input size. Thread-safe.
class Samples {
 public:
  virtual ~Samples() = default;
  virtual std::int64_t size() const = 0;
  /// What a result names the image: a path, or its position in the data set.
  virtual nlohmann::ordered_json name(std::int64_t i) const = 0;
  /// Pixels [size][size][3], in memory of `scratch` or of this. Throws IoError or FormatError where
  /// this image cannot be had, whatever becomes of the others.
  virtual const std::uint8_t* pixels(std::int64_t i, Image& scratch) const = 0;
  virtual std::optional<std::int32_t> label(std::int64_t i) const = 0;
};

/// Image files, and those of list_image_files in folders, the first `limit` (0: all), each brought
/// to the input with load_fitted(). What is no image, such as a folder without any, is a sample
/// too, whose pixels() says so. Tells on stderr what is left out of the folders.
std::unique_ptr<Samples> file_samples(const std::vector<std::string>& inputs, std::int64_t limit,
                                      const ImageFit& fit);

/// The first `limit` (0: all) images of a selection, which it borrows the set of.
std::unique_ptr<Samples> dataset_samples(ImageSelection images, std::int64_t limit);

}  // namespace msd
