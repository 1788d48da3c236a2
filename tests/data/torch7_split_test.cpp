// SPDX-License-Identifier: MIT
#include "data/torch7_split.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "engine/random.h"
#include "tests/support/errors.h"
#include "tests/support/torch7_writer.h"

namespace msd {
namespace {

using test::throws;
using test::Torch7Writer;
using Indices = std::vector<std::int64_t>;

Split read(const Torch7Writer& w, const Dataset& data) {
  return torch7_split(Torch7File(w.bytes()).root(), data);
}

// Images as CIFAR's; numbers 3 and 4 are equal but for the label, 5 and 6 altogether.
Dataset cifar() {
  Dataset data;
  data.name = "cifar10";
  data.train.h = data.train.w = 4;
  data.train.c = 3;
  data.train.labels = {0, 9, 1, 2, 3, 4, 4, 5};
  RandomStream random(1, RandomPurpose::test);
  for (std::int64_t i = 0; i < data.train.size(); ++i) {
    std::vector<std::uint8_t> image(48);
    for (std::uint8_t& byte : image) byte = static_cast<std::uint8_t>(random.below(256));
    if (i == 4 || i == 6) {
      const auto before = data.train.image(i - 1);
      image.assign(before.begin(), before.end());
    }
    data.train.images.insert(data.train.images.end(), image.begin(), image.end());
  }
  return data;
}

// As cifar10-gen.lua: the parts are views of one storage, in which the order is `order`.
class CifarList {
 public:
  CifarList(const Dataset& data, const Indices& order) {
    const ImageSet& set = data.train;
    for (const std::int64_t index : order) {
      const auto image = set.image(index);
      for (std::int64_t c = 0; c < set.c; ++c) {
        for (std::int64_t p = 0; p < set.h * set.w; ++p) {
          images_.push_back(image[static_cast<std::size_t>(p * set.c + c)]);
        }
      }
      labels_.push_back(static_cast<std::uint8_t>(set.labels[static_cast<std::size_t>(index)] + 1));
    }
  }

  std::vector<std::uint8_t>& images() { return images_; }
  std::vector<std::uint8_t>& labels() { return labels_; }

  Torch7Writer write(std::int64_t train, bool with_test = true) {
    Torch7Writer w;
    const auto count = static_cast<std::int64_t>(labels_.size());
    w.table(with_test ? 3 : 2);
    w.text("train");
    part(w, 0, train);
    w.text("val");
    part(w, train, count - train);
    if (with_test) {
      w.text("test");
      w.table(0);
    }
    return w;
  }

 private:
  void part(Torch7Writer& w, std::int64_t first, std::int64_t count) {
    const auto write = [&](const std::vector<std::int64_t>& shape,
                           const std::vector<std::int64_t>& strides,
                           const std::vector<std::uint8_t>& bytes, std::int32_t& storage) {
      w.tensor("torch.ByteTensor", shape, strides, first * strides[0] + 1);
      const auto size = static_cast<std::int64_t>(bytes.size());
      if (storage != 0) return w.again(4, storage);
      storage = w.storage("torch.ByteStorage", bytes.data(), size, size);
    };
    w.table(2);
    w.text("data");
    write({count, 3, 4, 4}, {48, 16, 4, 1}, images_, images_storage_);
    w.text("labels");
    write({count}, {1}, labels_, labels_storage_);
  }

  std::vector<std::uint8_t> images_, labels_;
  std::int32_t images_storage_ = 0, labels_storage_ = 0;
};

TEST(Torch7Split, CifarByBytesAndLabels) {
  const Dataset data = cifar();
  const Split split = read(CifarList(data, {7, 4, 0, 6, 2, 5, 3, 1}).write(5), data);
  // The first of the equal images 5 and 6 is the first that is found.
  EXPECT_EQ(split.train, (Indices{0, 2, 4, 5, 7}));
  EXPECT_EQ(split.holdout, (Indices{1, 3, 6}));
}

TEST(Torch7Split, CifarsImagesThatDoNotFit) {
  const Dataset data = cifar();
  const Indices order = {0, 1, 2, 3, 4, 5, 6, 7};
  const auto refused = [&](const std::function<void(CifarList&)>& change,
                           std::initializer_list<std::string_view> words) {
    CifarList list(data, order);
    change(list);
    return throws<ConfigError>([&] { read(list.write(6), data); }, words);
  };
  EXPECT_TRUE(refused([](CifarList& l) { l.images()[48 * 7 + 5] ^= 1; },
                      {"image 1 of its part val", "no training image of cifar10"}));
  EXPECT_TRUE(refused([](CifarList& l) { l.labels()[2] = 7; },
                      {"image 2 of its part train", "with label 6"}));
  EXPECT_TRUE(throws<ConfigError>(
      [&] {
        read(CifarList(data, {0, 1, 2, 3, 3, 5, 6, 7}).write(6), data);
      },
      {"image 4 of its part train", "listed before"}));
  EXPECT_TRUE(throws<ConfigError>(
      [&] {
        read(CifarList(data, {0, 1, 2, 3, 5, 6, 7}).write(6), data);
      },
      {"lacks training image 4 of cifar10"}));
  Dataset larger = data;
  larger.train.h = 2;
  larger.train.w = 8;
  EXPECT_TRUE(throws<ConfigError>([&] { read(CifarList(data, order).write(6), larger); },
                                  {"another size", "8x2"}));
}

TEST(Torch7Split, WithoutValidsetNothingIsHeldOut) {
  const Dataset data = cifar();
  const Torch7Writer w = CifarList(data, {0, 1, 2, 3, 4, 5, 6, 7}).write(6, /*with_test=*/false);
  EXPECT_TRUE(throws<FormatError>([&] { read(w, data); }, {"-validset true"}));
}

Dataset folder() {
  Dataset data;
  data.name = "folder";
  data.train.names = {"cat/1.jpg", "cat/20.jpg", "dog/1.jpg", "dog/3.png"};
  data.train.labels = {0, 0, 1, 1};
  return data;
}

void write_paths(Torch7Writer& w, const std::vector<std::string>& names) {
  constexpr std::int64_t kWidth = 11;
  std::string text;
  for (const std::string& name : names) {
    text += name;
    text.resize(text.size() + static_cast<std::size_t>(kWidth) - name.size(), '\0');
  }
  const auto count = static_cast<std::int64_t>(names.size());
  w.table(1);
  w.text("imagePath");
  w.tensor("torch.CharTensor", {count, kWidth}, {kWidth, 1});
  w.storage("torch.CharStorage", text.data(), count * kWidth, count * kWidth);
}

Split read_paths(const std::vector<std::string>& train, const std::vector<std::string>& val,
                 const Dataset& data) {
  Torch7Writer w;
  w.table(3);
  w.text("val");
  write_paths(w, val);
  w.text("train");
  write_paths(w, train);
  w.text("test");
  write_paths(w, {"cat/9.jpg"});
  return read(w, data);
}

TEST(Torch7Split, FoldersByName) {
  const Split split = read_paths({"dog/3.png", "cat/1.jpg", "dog/1.jpg"}, {"cat/20.jpg"}, folder());
  EXPECT_EQ(split.train, (Indices{0, 2, 3}));
  EXPECT_EQ(split.holdout, (Indices{1}));
}

TEST(Torch7Split, FoldersFilesThatDoNotFit) {
  EXPECT_TRUE(throws<ConfigError>(
      [] {
        read_paths({"dog/3.png", "cat/2.jpg"}, {"cat/5.jpg"}, folder());
      },
      {"lists cat/2.jpg, which is no training image"}));
  EXPECT_TRUE(throws<ConfigError>([] { read_paths({"dog/3.png"}, {"cat/20.jpg"}, folder()); },
                                  {"lacks training image 0 of folder, cat/1.jpg"}));
  EXPECT_TRUE(throws<FormatError>(
      [] {
        read_paths({"dog/3.png", "cat/1.jpg"}, {"cat/1.jpg"}, folder());
      },
      {"lists cat/1.jpg twice"}));
  EXPECT_TRUE(throws<ConfigError>([] { read_paths({"cat/1.jpg"}, {}, cifar()); },
                                  {"cifar10 is no folder of images"}));
}

TEST(Torch7Split, OtherFilesAreRefused) {
  Torch7Writer list, model;
  list.table(3);
  for (const char* part : {"train", "val", "test"}) {
    list.text(part);
    list.table(1);
    list.text("data");
    list.boolean(true);
  }
  model.object("nn.Sequential");
  model.table(0);
  EXPECT_TRUE(throws<FormatError>([&] { read(list, cifar()); }, {"has a boolean for data"}));
  EXPECT_TRUE(throws<FormatError>([&] { read(model, cifar()); }, {"holds a nn.Sequential"}));
}

}  // namespace
}  // namespace msd
