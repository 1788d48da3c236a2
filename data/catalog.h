// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "data/dataset.h"
#include "engine/image_fit.h"

namespace msd {

namespace cpu {
class ThreadPool;
}

/// A whole number that one data set takes, and what it is where nobody says. The name begins with
/// the set's: "synthetic_train".
struct DatasetNumber {
  std::string_view name;
  std::int64_t usual = 0;
  std::string_view description;
};

/// The numbers of all data sets as they usually are, by name.
std::map<std::string, std::int64_t, std::less<>> usual_dataset_numbers();

/// Which data set, and what loading it needs; each takes what concerns it.
struct DatasetOptions {
  std::string name = "synthetic";
  std::string folder;           // of those that lie in one
  std::optional<ImageFit> fit;  // of those that resize their images; nothing: as they are
  std::map<std::string, std::int64_t, std::less<>> numbers = usual_dataset_numbers();
  cpu::ThreadPool* pool = nullptr;  // threads to share the work; may be null
};

/// All that is known of a data set by its name. A new one is a row in data/catalog.cpp.
struct DatasetRow {
  std::string_view name;
  std::string_view remark = {};  // what a person should know beside the name; may be empty
  std::int64_t classes = 0;      // 0: only its images tell; then other images of that name may have
                                 // other classes, even as many
  // Of a folder that it is read from; both are empty where it needs none.
  std::string_view files = {};   // "Folder of ...": "the binary CIFAR files"
  std::string_view folder = {};  // "the folder ...": "of its binary files"
  bool resizes = false;          // brings its images to DatasetOptions::fit
  std::span<const DatasetNumber> numbers = {};
  Dataset (*load)(const DatasetOptions& options) = nullptr;  // throws as what it calls

  bool needs_folder() const { return !files.empty(); }
  bool classes_vary() const { return classes == 0; }
};

/// All data sets, in the order in which they are offered.
std::span<const DatasetRow> datasets();
/// The one of that name, or null.
const DatasetRow* find_dataset(std::string_view name);

/// What `phrase` says of each data set, as a person lists it: "cifar10, cifar100 and folder", where
/// `last` is " and ". Empty phrases and those said before are left out.
std::string list_datasets(std::string (*phrase)(const DatasetRow& row), std::string_view last);

}  // namespace msd
