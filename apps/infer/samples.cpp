// SPDX-License-Identifier: MIT
#include "apps/infer/samples.h"

#include <filesystem>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "data/image_listing.h"
#include "data/image_resize.h"

namespace msd {
namespace {

class FileSamples : public Samples {
 public:
  FileSamples(std::vector<ListedImage> images, const ImageFit& fit)
      : images_(std::move(images)), fit_(fit) {}

  std::int64_t size() const override { return static_cast<std::int64_t>(images_.size()); }
  nlohmann::ordered_json name(std::int64_t i) const override { return at(i).path; }
  const std::uint8_t* pixels(std::int64_t i, Image& scratch) const override {
    at(i).require_usable();
    scratch = load_fitted(at(i).path, fit_);
    return scratch.pixels.data();
  }
  std::optional<std::int32_t> label(std::int64_t) const override { return std::nullopt; }

 private:
  const ListedImage& at(std::int64_t i) const { return images_[static_cast<std::size_t>(i)]; }

  std::vector<ListedImage> images_;
  ImageFit fit_;
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

/// Appends the images of a folder.
void append_images(const std::string& folder, std::vector<ListedImage>& images, LeftOut& left_out) {
  try {
    ImageListing found = list_image_files(folder);
    if (found.images.empty()) {
      images.push_back({folder, "no images (" + image_endings_text() + ") in this folder"});
    }
    std::move(found.images.begin(), found.images.end(), std::back_inserter(images));
    left_out.add(found.left_out);
  } catch (const IoError& error) {
    images.push_back({folder, error.what()});
  } catch (const FormatError& error) {
    images.push_back({folder, error.what()});
  }
}

template <typename T>
void keep_first(std::vector<T>& values, std::int64_t limit) {
  if (limit > 0 && limit < static_cast<std::int64_t>(values.size())) {
    values.resize(static_cast<std::size_t>(limit));
  }
}

}  // namespace

std::unique_ptr<Samples> file_samples(const std::vector<std::string>& inputs, std::int64_t limit,
                                      const ImageFit& fit) {
  std::vector<ListedImage> images;
  LeftOut left_out;
  for (const std::string& input : inputs) {
    std::error_code ignored;
    if (std::filesystem::is_directory(input, ignored)) {
      append_images(input, images, left_out);
    } else {
      images.push_back({input, ""});  // whatever its name; reading it says what is wrong
    }
  }
  const std::string rest = left_out.text();
  if (!rest.empty()) std::cerr << "msd-infer: left out: " << one_line(rest) << '\n';
  keep_first(images, limit);
  return std::make_unique<FileSamples>(std::move(images), fit);
}

std::unique_ptr<Samples> dataset_samples(ImageSelection images, std::int64_t limit) {
  keep_first(images.indices, limit);
  return std::make_unique<DatasetSamples>(std::move(images));
}

}  // namespace msd
