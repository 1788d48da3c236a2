// SPDX-License-Identifier: MIT
#include "apps/infer/samples.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "data/image_listing.h"
#include "kernels/check.h"
#include "models/inference/image_session.h"

namespace msd {
namespace {

class FileSamples : public Samples {
 public:
  FileSamples(std::vector<std::string> paths, const MsdnetConfig& config)
      : paths_(std::move(paths)), size_(config.image_size), short_side_(resized_side(config)) {}

  std::int64_t size() const override { return static_cast<std::int64_t>(paths_.size()); }
  nlohmann::ordered_json name(std::int64_t i) const override { return path(i); }
  const std::uint8_t* pixels(std::int64_t i, Image& scratch) const override {
    scratch = fit_to(decode_image_file(path(i)), size_, size_, short_side_);
    return scratch.pixels.data();
  }
  std::optional<std::int32_t> label(std::int64_t) const override { return std::nullopt; }

 private:
  const std::string& path(std::int64_t i) const { return paths_[static_cast<std::size_t>(i)]; }

  std::vector<std::string> paths_;
  std::int64_t size_, short_side_;
};

class DatasetSamples : public Samples {
 public:
  explicit DatasetSamples(ImageSelection images) : images_(std::move(images)) {}

  std::int64_t size() const override { return static_cast<std::int64_t>(images_.indices.size()); }
  nlohmann::ordered_json name(std::int64_t i) const override { return position(i); }
  const std::uint8_t* pixels(std::int64_t i, Image&) const override {
    return images_.set->image(position(i)).data();
  }
  std::optional<std::int32_t> label(std::int64_t i) const override {
    return images_.set->labels[static_cast<std::size_t>(position(i))];
  }

 private:
  std::int64_t position(std::int64_t i) const {
    return images_.indices[static_cast<std::size_t>(i)];
  }

  ImageSelection images_;
};

template <typename T>
void keep_first(std::vector<T>& values, std::int64_t limit) {
  if (limit > 0 && limit < static_cast<std::int64_t>(values.size())) {
    values.resize(static_cast<std::size_t>(limit));
  }
}

}  // namespace

std::unique_ptr<Samples> file_samples(const std::vector<std::string>& inputs, std::int64_t limit,
                                      const MsdnetConfig& config) {
  std::vector<std::string> paths;
  for (const std::string& input : inputs) {
    std::error_code error;
    const std::filesystem::file_status status = std::filesystem::status(input, error);
    if (!std::filesystem::exists(status)) throw IoError(input + ": no such file or folder");
    if (!std::filesystem::is_directory(status)) {
      paths.push_back(input);
      continue;
    }
    const std::vector<std::string> found = list_image_files(input);
    if (found.empty()) {
      throw ConfigError(message("no images (", kImageEndings, ") in the folder ", input));
    }
    paths.insert(paths.end(), found.begin(), found.end());
  }
  keep_first(paths, limit);
  return std::make_unique<FileSamples>(std::move(paths), config);
}

std::unique_ptr<Samples> dataset_samples(ImageSelection images, std::int64_t limit) {
  keep_first(images.indices, limit);
  return std::make_unique<DatasetSamples>(std::move(images));
}

}  // namespace msd
