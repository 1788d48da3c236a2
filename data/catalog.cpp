// SPDX-License-Identifier: MIT
#include "data/catalog.h"

#include <algorithm>
#include <vector>

#include "data/cifar.h"
#include "data/image_folder.h"
#include "data/synthetic.h"

namespace msd {
namespace {

constexpr DatasetNumber kSyntheticNumbers[] = {
    {"synthetic_train", SyntheticOptions{}.train, "Training images of the synthetic set"},
    {"synthetic_test", SyntheticOptions{}.test, "Test images of the synthetic set"},
    {"synthetic_seed", SyntheticOptions{}.seed, "Seed of the synthetic set"}};

Dataset load_synthetic(const DatasetOptions& options) {
  const auto number = [&](const char* name) { return options.numbers.at(name); };
  return make_synthetic({.seed = static_cast<std::uint64_t>(number("synthetic_seed")),
                         .train = number("synthetic_train"),
                         .test = number("synthetic_test")},
                        options.pool);
}

constexpr DatasetRow kDatasetRows[] = {
    {.name = "synthetic",
     .remark = "built in",
     .classes = 10,
     .numbers = kSyntheticNumbers,
     .load = load_synthetic},
    {.name = "cifar10",
     .classes = 10,
     .files = "the binary CIFAR files",
     .folder = "of its binary files",
     .load = [](const DatasetOptions& o) { return load_cifar(Cifar::cifar10, o.folder); }},
    {.name = "cifar100",
     .classes = 100,
     .files = "the binary CIFAR files",
     .folder = "of its binary files",
     .load = [](const DatasetOptions& o) { return load_cifar(Cifar::cifar100, o.folder); }},
    {.name = "folder",
     .remark = "image files",
     .files = "image files as train/CLASS/*.jpg and test/CLASS/*.jpg",
     .folder = "that holds train/CLASS and test/CLASS",
     .resizes = true,
     .load = [](const DatasetOptions& o) { return load_image_folder(o.folder, o.fit, o.pool); }}};

}  // namespace

std::span<const DatasetRow> datasets() { return kDatasetRows; }

const DatasetRow* find_dataset(std::string_view name) {
  const auto* row = std::find_if(std::begin(kDatasetRows), std::end(kDatasetRows),
                                 [&](const DatasetRow& known) { return known.name == name; });
  return row == std::end(kDatasetRows) ? nullptr : row;
}

std::string list_datasets(std::string (*phrase)(const DatasetRow& row), std::string_view last) {
  std::vector<std::string> phrases;
  for (const DatasetRow& row : kDatasetRows) {
    const std::string said = phrase(row);
    if (said.empty() || std::find(phrases.begin(), phrases.end(), said) != phrases.end()) continue;
    phrases.push_back(said);
  }
  std::string list;
  for (std::size_t i = 0; i < phrases.size(); ++i) {
    if (i > 0) list += i + 1 == phrases.size() ? last : ", ";
    list += phrases[i];
  }
  return list;
}

std::map<std::string, std::int64_t, std::less<>> usual_dataset_numbers() {
  std::map<std::string, std::int64_t, std::less<>> numbers;
  for (const DatasetRow& row : kDatasetRows) {
    for (const DatasetNumber& number : row.numbers) numbers.emplace(number.name, number.usual);
  }
  return numbers;
}

}  // namespace msd
