// SPDX-License-Identifier: MIT
#include "data/torch7_split.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "kernels/check.h"

namespace msd {
namespace {

using Indices = std::vector<std::int64_t>;

/// A field of one part of the list that is a tensor of `dimensions`; contiguous.
Tensor field_of(const Torch7Value& part, std::string_view name, std::int64_t dimensions) {
  const Torch7Value* field = part.find(name);
  const Tensor* tensor = field == nullptr ? nullptr : field->tensor();
  if (tensor == nullptr || tensor->dim() != dimensions) {
    throw FormatError(message("has ", field == nullptr ? "nothing" : field->kind(), " for ", name,
                              ", not a tensor of ", dimensions, " dimensions"));
  }
  return tensor->contiguous();
}

/// The training images, to be found by what a list knows of them; each of them once.
class Finder {
 public:
  explicit Finder(const Dataset& data)
      : data_(data), taken_(static_cast<std::size_t>(data.train.size()), false) {}
  virtual ~Finder() = default;

  /// The indices of the images of a part, rising.
  Indices find_all(const Torch7Value& root, std::string_view name) {
    const Torch7Value* part = root.find(name);
    if (part == nullptr) throw FormatError(message("has no part ", name));
    Indices found = find_part(*part, name);
    std::sort(found.begin(), found.end());
    return found;
  }
  /// Throws where an image was not found.
  void require_all() const {
    const auto missing = std::find(taken_.begin(), taken_.end(), false);
    if (missing == taken_.end()) return;
    const auto index = static_cast<std::size_t>(missing - taken_.begin());
    throw ConfigError(
        message("lacks training image ", index, " of ", data_.name,
                data_.train.names.empty() ? "" : ", " + printable(data_.train.names[index]),
                "; make the list anew, or take the images it was made of"));
  }

 protected:
  virtual Indices find_part(const Torch7Value& part, std::string_view name) = 0;

  bool is_taken(std::int64_t index) const { return taken_[static_cast<std::size_t>(index)]; }
  void take(std::int64_t index) { taken_[static_cast<std::size_t>(index)] = true; }
  const Dataset& data() const { return data_; }

 private:
  const Dataset& data_;
  std::vector<bool> taken_;
};

// imagePath [n][longest + 1]: "CLASS/FILE", filled up with zeros.
class NameFinder : public Finder {
 public:
  explicit NameFinder(const Dataset& images) : Finder(images) {
    const std::vector<std::string>& names = images.train.names;
    if (names.empty()) {
      throw ConfigError("lists image files, but " + images.name + " is no folder of images");
    }
    for (std::size_t i = 0; i < names.size(); ++i) {
      index_of_[names[i]] = static_cast<std::int64_t>(i);
    }
  }

 protected:
  Indices find_part(const Torch7Value& part, std::string_view /*name*/) override {
    const Tensor paths = field_of(part, "imagePath", 2);
    if (paths.dtype() != DType::u8) throw FormatError("has an imagePath that is no text");
    const auto width = static_cast<std::size_t>(paths.shape()[1]);
    const auto* row = static_cast<const char*>(paths.data());
    Indices found;
    for (std::int64_t i = 0; i < paths.shape()[0]; ++i, row += width) {
      std::string_view name(row, width);
      name = name.substr(0, name.find('\0'));
      const auto at = index_of_.find(name);
      if (at == index_of_.end()) {
        throw ConfigError("lists " + printable(name) + ", which is no training image of " +
                          data().name);
      }
      if (is_taken(at->second)) throw FormatError("lists " + printable(name) + " twice");
      take(at->second);
      found.push_back(at->second);
    }
    return found;
  }

 private:
  std::unordered_map<std::string_view, std::int64_t> index_of_;
};

// data [n][c][h][w] of bytes and labels [n], from 1.
class ByteFinder : public Finder {
 public:
  explicit ByteFinder(const Dataset& images) : Finder(images) {
    for (std::int64_t i = 0; i < images.train.size(); ++i) {
      indices_of_[text_of(images.train.image(i))].push_back(i);
    }
  }

 protected:
  Indices find_part(const Torch7Value& part, std::string_view name) override {
    const ImageSet& set = data().train;
    const Tensor images = field_of(part, "data", 4), labels = field_of(part, "labels", 1);
    if (images.dtype() != DType::u8) throw FormatError("has images that are no bytes");
    const std::int64_t count = images.shape()[0];
    if (images.shape() != std::vector<std::int64_t>{count, set.c, set.h, set.w}) {
      throw ConfigError(message("lists images of another size than the ", set.w, "x", set.h,
                                " pixels of ", data().name));
    }
    if (labels.elems() != count) {
      throw FormatError(message("has ", labels.elems(), " labels for ", count, " images"));
    }
    const auto* planar = static_cast<const std::uint8_t*>(images.data());
    std::vector<std::uint8_t> image(static_cast<std::size_t>(set.image_elems()));
    Indices found;
    for (std::int64_t i = 0; i < count; ++i, planar += set.image_elems()) {
      const std::int64_t pixels = set.h * set.w;
      auto to = image.begin();
      for (std::int64_t p = 0; p < pixels; ++p) {
        for (std::int64_t c = 0; c < set.c; ++c) *to++ = planar[c * pixels + p];
      }
      const double label = load_element(labels.data(), labels.dtype(), i) - 1.0;
      found.push_back(find(image, label));
      if (found.back() < 0) {
        throw ConfigError(message("lists as image ", i, " of its part ", name, ", with label ",
                                  label, ", what is no training image of ", data().name,
                                  " or was listed before"));
      }
    }
    return found;
  }

 private:
  static std::string_view text_of(std::span<const std::uint8_t> image) {
    return {reinterpret_cast<const char*>(image.data()), image.size()};
  }

  std::int64_t find(std::span<const std::uint8_t> image, double label) {
    const auto equal = indices_of_.find(text_of(image));
    if (equal == indices_of_.end()) return -1;
    for (const std::int64_t index : equal->second) {
      if (is_taken(index) || data().train.labels[static_cast<std::size_t>(index)] != label)
        continue;
      take(index);
      return index;
    }
    return -1;
  }

  std::unordered_map<std::string_view, Indices> indices_of_;
};

Split split_with(Finder& finder, const Torch7Value& root) {
  Split split;
  split.train = finder.find_all(root, "train");
  split.holdout = finder.find_all(root, "val");
  finder.require_all();
  return split;
}

}  // namespace

Split torch7_split(const Torch7Value& root, const Dataset& data) {
  const Torch7Value* train = root.find("train");
  if (train == nullptr || root.find("val") == nullptr) {
    throw FormatError("holds " + root.kind() + " without the parts train and val of a split");
  }
  if (root.find("test") == nullptr) {
    throw FormatError(
        "holds out nothing: without a part test, its part val is the test images; make it with "
        "Torch7's -validset true");
  }
  if (train->find("imagePath") != nullptr) {
    NameFinder finder(data);
    return split_with(finder, root);
  }
  ByteFinder finder(data);
  return split_with(finder, root);
}

}  // namespace msd
