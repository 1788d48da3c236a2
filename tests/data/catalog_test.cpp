// SPDX-License-Identifier: MIT
#include "data/catalog.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "data/cifar.h"
#include "data/image_folder.h"
#include "data/synthetic.h"
#include "kernels/cpu/device/thread_pool.h"
#include "tests/support/image_bytes.h"
#include "tests/support/temp_folder.h"

namespace msd {
namespace {

using test::TempFolder;

Dataset load(const DatasetOptions& options) { return find_dataset(options.name)->load(options); }

TEST(Catalog, RowsAreWholeAndFoundByName) {
  std::set<std::string_view> names, numbers;
  for (const DatasetRow& row : datasets()) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name << " is there twice";
    EXPECT_EQ(find_dataset(row.name), &row);
    EXPECT_NE(row.load, nullptr) << row.name;
    EXPECT_GE(row.classes, 0) << row.name;
    EXPECT_EQ(row.needs_folder(), !row.folder.empty()) << row.name << " says it one way only";
    for (const DatasetNumber& number : row.numbers) {
      EXPECT_TRUE(numbers.insert(number.name).second) << number.name << " is there twice";
      EXPECT_TRUE(number.name.starts_with(std::string(row.name) + "_")) << number.name;
      EXPECT_EQ(usual_dataset_numbers().at(std::string(number.name)), number.usual);
    }
  }
  EXPECT_EQ(usual_dataset_numbers().size(), numbers.size());
  EXPECT_NE(find_dataset(DatasetOptions().name), nullptr);
  for (const char* unknown : {"", "imagenet", "Cifar10", "cifar"}) {
    EXPECT_EQ(find_dataset(unknown), nullptr) << unknown;
  }
}

TEST(Catalog, ListsWhatIsSaidOfTheSets) {
  const auto nothing = [](const DatasetRow&) { return std::string(); };
  const auto one = [](const DatasetRow&) { return std::string("one"); };
  const auto files = [](const DatasetRow& row) { return std::string(row.files); };
  EXPECT_EQ(list_datasets(nothing, " and "), "");
  EXPECT_EQ(list_datasets(one, " and "), "one");
  EXPECT_EQ(list_datasets(files, " or "),
            "the binary CIFAR files or image files as train/CLASS/*.jpg and test/CLASS/*.jpg");
  EXPECT_EQ(list_datasets([](const DatasetRow& row) { return std::string(row.name); }, ", and "),
            "synthetic, cifar10, cifar100, and folder");
}

TEST(Catalog, MakesTheSyntheticSetOfItsNumbers) {
  DatasetOptions options;
  options.name = "synthetic";
  options.numbers["synthetic_train"] = 30;
  options.numbers["synthetic_test"] = 20;
  options.numbers["synthetic_seed"] = -7;
  cpu::ThreadPool pool(2);
  options.pool = &pool;
  const Dataset data = load(options);
  EXPECT_EQ(data.name, "synthetic");
  EXPECT_EQ(data.classes(), find_dataset("synthetic")->classes);
  EXPECT_EQ(data.train.size(), 30);
  EXPECT_EQ(data.test.size(), 20);
  EXPECT_EQ(data.fingerprint,
            make_synthetic({.seed = ~std::uint64_t{6}, .train = 30, .test = 20}).fingerprint);
}

TEST(Catalog, ReadsTheCifarOfItsName) {
  const TempFolder folder;
  std::vector<std::uint8_t> record(1 + 3072, 3);
  for (const char* batch : {"1", "2", "3", "4", "5"}) {
    folder.write("cifar-10-batches-bin/data_batch_" + std::string(batch) + ".bin", record);
  }
  folder.write("cifar-10-batches-bin/test_batch.bin", record);
  record.push_back(3);
  folder.write("cifar-100-binary/train.bin", record);
  folder.write("cifar-100-binary/test.bin", record);
  for (const auto& [name, kind] :
       {std::pair("cifar10", Cifar::cifar10), std::pair("cifar100", Cifar::cifar100)}) {
    DatasetOptions options;
    options.name = name;
    options.folder = folder.path().string();
    const Dataset data = load(options), expected = load_cifar(kind, options.folder);
    EXPECT_EQ(data.name, name);
    EXPECT_EQ(data.classes(), find_dataset(name)->classes);
    EXPECT_EQ(data.fingerprint, expected.fingerprint);
    EXPECT_EQ(data.mean, expected.mean);
    EXPECT_EQ(data.std, expected.std);
  }
}

TEST(Catalog, BringsAFoldersImagesToTheSizeAsked) {
  const TempFolder folder;
  for (const char* name :
       {"train/cat/a.ppm", "train/dog/a.ppm", "test/cat/a.ppm", "test/dog/a.ppm"})
    folder.write(name, test::ppm(test::noise(4, 6)));
  DatasetOptions options;
  options.name = "folder";
  options.folder = folder.path().string();
  EXPECT_TRUE(find_dataset("folder")->classes_vary());
  for (const auto& fit : {std::optional<ImageFit>(), std::optional(ImageFit{5, 5})}) {
    options.fit = fit;
    const Dataset data = load(options);
    EXPECT_EQ(data.name, "folder");
    EXPECT_EQ(data.fingerprint, load_image_folder(options.folder, fit).fingerprint);
    EXPECT_EQ(data.train.h, fit ? 5 : 4);
    EXPECT_EQ(data.train.w, fit ? 5 : 6);
  }
}

}  // namespace
}  // namespace msd
