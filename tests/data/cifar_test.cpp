// SPDX-License-Identifier: MIT
#include "data/cifar.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <span>

#include "kernels/error.h"
#include "tests/support/errors.h"
#include "tests/support/temp_folder.h"

namespace msd {
namespace {

using test::TempFolder;
using test::throws;

using Bytes = std::vector<std::uint8_t>;

/// Any function of file, record, channel and place whose values differ between neighbours.
std::uint8_t pixel(int file, int record, int channel, int y, int x) {
  return static_cast<std::uint8_t>(file * 101 + record * 53 + channel * 87 + y * 7 + x * 3);
}

Bytes records(int file, int count, int classes, bool coarse) {
  Bytes bytes;
  for (int i = 0; i < count; ++i) {
    if (coarse) bytes.push_back(static_cast<std::uint8_t>(19));
    bytes.push_back(static_cast<std::uint8_t>((file * 3 + i) % classes));
    for (int c = 0; c < 3; ++c) {
      for (int y = 0; y < 32; ++y) {
        for (int x = 0; x < 32; ++x) bytes.push_back(pixel(file, i, c, y, x));
      }
    }
  }
  return bytes;
}

std::string batch(int file) { return "data_batch_" + std::to_string(file) + ".bin"; }

/// Files 1..5 have 1..5 records, the test file 2.
void write_cifar10(const TempFolder& folder, const std::string& prefix) {
  for (int file = 1; file <= 5; ++file) {
    folder.write(prefix + batch(file), records(file, file, 10, false));
  }
  folder.write(prefix + "test_batch.bin", records(6, 2, 10, false));
}

void write_cifar100(const TempFolder& folder, const std::string& prefix) {
  folder.write(prefix + "train.bin", records(1, 4, 100, true));
  folder.write(prefix + "test.bin", records(33, 2, 100, true));
}

void expect_image(const ImageSet& set, std::int64_t at, int file, int record) {
  const auto image = set.image(at);
  ASSERT_EQ(image.size(), 3072u);
  for (int y = 0; y < 32; ++y) {
    for (int x = 0; x < 32; ++x) {
      for (int c = 0; c < 3; ++c) {
        ASSERT_EQ(image[static_cast<std::size_t>((y * 32 + x) * 3 + c)],
                  pixel(file, record, c, y, x))
            << "image " << at << " at " << y << ", " << x << ", " << c;
      }
    }
  }
}

TEST(Cifar, ReadsCifar10InFileOrder) {
  const TempFolder folder;
  write_cifar10(folder, "");
  const Dataset data = load_cifar(Cifar::cifar10, folder.path().string());
  EXPECT_EQ(data.name, "cifar10");
  ASSERT_EQ(data.train.size(), 15);
  ASSERT_EQ(data.test.size(), 2);
  EXPECT_EQ(data.train.h, 32);
  EXPECT_EQ(data.test.w, 32);
  EXPECT_EQ(data.train.c, 3);
  std::int64_t at = 0;
  for (int file = 1; file <= 5; ++file) {
    for (int i = 0; i < file; ++i, ++at) {
      expect_image(data.train, at, file, i);
      EXPECT_EQ(data.train.labels[static_cast<std::size_t>(at)], (file * 3 + i) % 10);
    }
  }
  expect_image(data.test, 1, 6, 1);
  EXPECT_EQ(data.test.labels, (std::vector<std::int32_t>{8, 9}));
  EXPECT_FLOAT_EQ(data.mean[2], 113.9f);
  EXPECT_FLOAT_EQ(data.std[1], 62.1f);
  ASSERT_EQ(data.classes(), 10);
  EXPECT_EQ(data.class_names[7], "7");
  EXPECT_EQ(data.fingerprint, fingerprint(data.train, data.test));
}

TEST(Cifar, ReadsTheFineLabelsOfCifar100) {
  const TempFolder folder;
  write_cifar100(folder, "");
  const Dataset data = load_cifar(Cifar::cifar100, folder.path().string());
  EXPECT_EQ(data.name, "cifar100");
  EXPECT_EQ(data.train.labels, (std::vector<std::int32_t>{3, 4, 5, 6}));
  EXPECT_EQ(data.test.labels, (std::vector<std::int32_t>{99, 0}));
  expect_image(data.train, 3, 1, 3);
  expect_image(data.test, 0, 33, 0);
  EXPECT_FLOAT_EQ(data.mean[0], 129.3f);
  EXPECT_FLOAT_EQ(data.std[2], 70.4f);
  EXPECT_EQ(data.classes(), 100);
}

TEST(Cifar, FindsTheFolderInItsParent) {
  const TempFolder folder;
  write_cifar10(folder, "cifar-10-batches-bin/");
  write_cifar100(folder, "cifar-100-binary/");
  EXPECT_EQ(load_cifar(Cifar::cifar10, folder.path().string()).train.size(), 15);
  EXPECT_EQ(load_cifar(Cifar::cifar100, folder.path().string()).train.size(), 4);
  EXPECT_EQ(load_cifar(Cifar::cifar100, folder.path("cifar-100-binary")).test.size(), 2);
}

TEST(Cifar, ReadsClassNames) {
  const TempFolder folder;
  write_cifar10(folder, "");
  folder.write("batches.meta.txt", std::string("a\nb\r\nc\nd\ne\nf\ng\nh\ni\ntruck\n\n"));
  const Dataset data = load_cifar(Cifar::cifar10, folder.path().string());
  EXPECT_EQ(data.class_names[1], "b");
  EXPECT_EQ(data.class_names[9], "truck");
  const std::string names = folder.write("batches.meta.txt", std::string("a\nb\n"));
  EXPECT_TRUE(throws<FormatError>([&] { load_cifar(Cifar::cifar10, folder.path().string()); },
                                  {names, "names 2 classes, expected 10"}));
}

TEST(Cifar, NamesWhatIsMissing) {
  const TempFolder folder;
  EXPECT_TRUE(throws<IoError>([&] { load_cifar(Cifar::cifar10, folder.path("nowhere")); },
                              {"cifar10", "no folder " + folder.path("nowhere"), "unpack"}));
  EXPECT_TRUE(throws<IoError>(
      [&] { load_cifar(Cifar::cifar10, folder.path().string()); },
      {folder.path().string(), "test_batch.bin", "cifar-10-batches-bin", "unpack"}));
  write_cifar10(folder, "");
  EXPECT_TRUE(throws<IoError>([&] { load_cifar(Cifar::cifar100, folder.path().string()); },
                              {"cifar100", "test.bin", "cifar-100-binary"}));
  std::filesystem::remove(folder.path(batch(4)));
  EXPECT_TRUE(throws<IoError>([&] { load_cifar(Cifar::cifar10, folder.path().string()); },
                              {folder.path(batch(4)), "No such file"}));
  std::filesystem::create_directory(folder.path(batch(4)));
  EXPECT_TRUE(throws<IoError>([&] { load_cifar(Cifar::cifar10, folder.path().string()); },
                              {folder.path(batch(4)), "directory"}));
}

TEST(Cifar, NamesAllFaultyFiles) {
  const TempFolder folder;
  write_cifar10(folder, "");
  for (const int file : {1, 3}) std::filesystem::remove(folder.path(batch(file)));
  const auto load = [&] { load_cifar(Cifar::cifar10, folder.path().string()); };
  EXPECT_TRUE(throws<IoError>(load, {folder.path(batch(1)), folder.path(batch(3)), "unpack"}));
  std::filesystem::remove(folder.path("test_batch.bin"));
  folder.write(batch(2), Bytes(100));
  folder.write(batch(4), Bytes(3073, 77));
  folder.write("batches.meta.txt", std::string("a\n"));
  EXPECT_TRUE(throws<FormatError>(
      load,
      {"names 1 classes", folder.path(batch(1)), batch(2) + " has 100 bytes", folder.path(batch(3)),
       batch(4) + ": record 0 of 1 has label 77", folder.path("test_batch.bin"), "unpack"}));
}

TEST(Cifar, RefusesFilesThatAreNotWholeRecords) {
  const TempFolder folder;
  write_cifar10(folder, "");
  const Bytes good = records(2, 2, 10, false);
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{3072}, good.size() - 1}) {
    const std::string path = folder.write(batch(2), std::span(good).first(bytes));
    EXPECT_TRUE(throws<FormatError>([&] { load_cifar(Cifar::cifar10, folder.path().string()); },
                                    {path, std::to_string(bytes) + " bytes", "3073"}));
  }
  Bytes longer = good;
  longer.push_back(0);
  folder.write(batch(2), longer);
  EXPECT_TRUE(throws<FormatError>([&] { load_cifar(Cifar::cifar10, folder.path().string()); },
                                  {batch(2), "6147 bytes"}));
  folder.write(batch(2), good);
  EXPECT_EQ(load_cifar(Cifar::cifar10, folder.path().string()).train.size(), 15);

  write_cifar100(folder, "");
  const std::string path = folder.write("train.bin", good);  // CIFAR-10 records
  EXPECT_TRUE(throws<FormatError>([&] { load_cifar(Cifar::cifar100, folder.path().string()); },
                                  {path, "6146 bytes", "3074"}));
}

TEST(Cifar, RefusesALabelOutOfRange) {
  const TempFolder folder;
  write_cifar10(folder, "");
  Bytes bytes = records(3, 3, 10, false);
  bytes[3073 * 2] = 10;
  const std::string path = folder.write(batch(3), bytes);
  EXPECT_TRUE(throws<FormatError>([&] { load_cifar(Cifar::cifar10, folder.path().string()); },
                                  {path, "record 2 of 3", "label 10", "0 to 9"}));
  write_cifar100(folder, "");
  bytes = records(1, 2, 100, true);
  bytes[1] = 100;
  folder.write("test.bin", bytes);
  EXPECT_TRUE(throws<FormatError>([&] { load_cifar(Cifar::cifar100, folder.path().string()); },
                                  {"test.bin", "record 0 of 2", "label 100", "0 to 99"}));
}

}  // namespace
}  // namespace msd
