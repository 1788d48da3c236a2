// SPDX-License-Identifier: MIT
#include "data/split.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "kernels/error.h"
#include "tests/support/errors.h"
#include "tests/support/temp_folder.h"

namespace msd {
namespace {

using test::TempFolder;
using test::throws;

Dataset data_of(std::int64_t size, const std::string& name = "toy") {
  Dataset data;
  data.name = name;
  data.class_names = {"a", "b"};
  data.train.h = data.train.w = data.train.c = 1;
  for (std::int64_t i = 0; i < size; ++i) {
    data.train.images.push_back(static_cast<std::uint8_t>(i));
    data.train.labels.push_back(static_cast<std::int32_t>(i % 2));
  }
  data.test = data.train;
  data.fingerprint = fingerprint(data.train, data.test);
  return data;
}

void expect_partition(const Split& split, std::int64_t size, std::int64_t holdout) {
  EXPECT_EQ(static_cast<std::int64_t>(split.holdout.size()), holdout);
  EXPECT_EQ(static_cast<std::int64_t>(split.train.size()), size - holdout);
  for (const std::vector<std::int64_t>* part : {&split.train, &split.holdout}) {
    EXPECT_TRUE(std::is_sorted(part->begin(), part->end()));
  }
  std::vector<std::int64_t> both = split.train;
  both.insert(both.end(), split.holdout.begin(), split.holdout.end());
  std::sort(both.begin(), both.end());
  std::vector<std::int64_t> all(static_cast<std::size_t>(size));
  std::iota(all.begin(), all.end(), 0);
  EXPECT_EQ(both, all);
}

TEST(Split, PartsNeverOverlapAndCoverEverything) {
  for (const std::int64_t size : {1, 2, 97, 1000}) {
    const Dataset data = data_of(size);
    for (const std::int64_t holdout : {std::int64_t{0}, std::int64_t{1}, size / 3, size - 1}) {
      if (holdout >= size) continue;
      for (const HoldoutMode mode : {HoldoutMode::random, HoldoutMode::last}) {
        expect_partition(make_split(data, holdout, mode, 7), size, holdout);
      }
    }
  }
}

TEST(Split, LastIsByPosition) {
  const Split split = make_split(data_of(10), 3, HoldoutMode::last, 1);
  EXPECT_EQ(split.holdout, (std::vector<std::int64_t>{7, 8, 9}));
}

TEST(Split, RandomFollowsTheSeedAndReachesEveryImage) {
  const Dataset data = data_of(50);
  EXPECT_EQ(make_split(data, 10, HoldoutMode::random, 3).holdout,
            make_split(data, 10, HoldoutMode::random, 3).holdout);
  EXPECT_NE(make_split(data, 10, HoldoutMode::random, 3).holdout,
            make_split(data, 10, HoldoutMode::random, 4).holdout);
  std::vector<int> times(50);
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    for (const std::int64_t i : make_split(data, 10, HoldoutMode::random, seed).holdout) {
      ++times[static_cast<std::size_t>(i)];
    }
  }
  // 1000 draws with probability 1/5: mean 200, standard deviation 12.6; 6 of them.
  for (const int count : times) EXPECT_NEAR(count, 200, 76);
}

TEST(Split, RefusesAHoldoutThatLeavesNothing) {
  const Dataset data = data_of(10);
  for (const std::int64_t holdout : {-1, 10, 11}) {
    for (const HoldoutMode mode : {HoldoutMode::random, HoldoutMode::last}) {
      EXPECT_TRUE(throws<ConfigError>([&] { make_split(data, holdout, mode, 1); },
                                      {"--holdout " + std::to_string(holdout), "of 10", "0 to 9"}));
    }
  }
}

TEST(Split, SavesAndLoads) {
  const TempFolder folder;
  const Dataset data = data_of(100);
  for (const std::int64_t holdout : {0, 1, 30}) {
    const Split split = make_split(data, holdout, HoldoutMode::random, 5);
    save_split(folder.path("split.json"), data, split);
    const Split loaded = load_split(folder.path("split.json"), data);
    EXPECT_EQ(loaded.train, split.train);
    EXPECT_EQ(loaded.holdout, split.holdout);
  }
  std::ifstream in(folder.path("split.json"));
  const nlohmann::json file = nlohmann::json::parse(in);
  EXPECT_EQ(file.at("dataset"), "toy");
  EXPECT_EQ(file.at("size"), 100);
  EXPECT_EQ(file.at("fingerprint"), data.fingerprint);
  const std::filesystem::directory_iterator files(folder.path().string());
  EXPECT_EQ(std::distance(begin(files), end(files)), 1) << "a partial file was left";
}

TEST(Split, RefusesAnotherDataSetByName) {
  const TempFolder folder;
  const std::string path = folder.path("split.json");
  const Dataset data = data_of(100);
  save_split(path, data, make_split(data, 10, HoldoutMode::last, 5));
  EXPECT_TRUE(throws<ConfigError>([&] { load_split(path, data_of(100, "cifar10")); },
                                  {path, "toy (100", "cifar10 (100"}));
  EXPECT_TRUE(
      throws<ConfigError>([&] { load_split(path, data_of(101)); }, {"toy (100", "toy (101"}));
  Dataset changed = data_of(100);
  changed.train.images[5] ^= 1;
  changed.fingerprint = fingerprint(changed.train, changed.test);
  EXPECT_TRUE(throws<ConfigError>([&] { load_split(path, changed); },
                                  {data.fingerprint, changed.fingerprint}));
}

TEST(Split, RefusesFilesThatAreNoSplit) {
  const TempFolder folder;
  const Dataset data = data_of(10);
  EXPECT_TRUE(throws<IoError>([&] { load_split(folder.path("none.json"), data); },
                              {folder.path("none.json"), "No such file"}));
  const nlohmann::json good = {
      {"format", "msd-split"},           {"version", 1},     {"dataset", data.name}, {"size", 10},
      {"fingerprint", data.fingerprint}, {"holdout", {2, 5}}};
  EXPECT_EQ(load_split(folder.write("s.json", good.dump()), data).holdout,
            (std::vector<std::int64_t>{2, 5}));
  const auto refuse = [&](const std::string& text, const std::string& part) {
    const std::string path = folder.write("s.json", text);
    EXPECT_TRUE(throws<FormatError>([&] { load_split(path, data); }, {path, part}));
  };
  refuse("", "no JSON at line 1");
  refuse("{\"format\": \"msd-split\"", "no JSON at line 1, column 23");
  refuse("[1, 2]", "a value is not as it must be");
  refuse("{}", "has no format");
  for (const auto& item : good.items()) {
    nlohmann::json file = good;
    file.erase(item.key());
    refuse(file.dump(), "has no " + item.key());
  }
  const auto with = [&](const std::string& key, const nlohmann::json& value) {
    nlohmann::json file = good;
    file[key] = value;
    return file.dump();
  };
  refuse(with("format", "other"), "not a split of version 1");
  refuse(with("version", 2), "not a split of version 1");
  refuse(with("size", "ten"), "whole number");
  refuse(with("holdout", 5), "no list");
  refuse(with("holdout", {1.5}), "holdout is 1.5");
  refuse(with("holdout", {1e30}), "holdout is 1e+30");
  refuse(with("holdout", {3, 10}), "index 10 at position 1");
  refuse(with("holdout", {-1}), "index -1 at position 0");
  refuse(with("holdout", {5, 2}), "index 2 at position 1");
  refuse(with("holdout", {4, 4}), "index 4 at position 1");
  refuse(with("holdout", {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}), "all 10");
}

TEST(Split, SaysWhenItCannotWrite) {
  const TempFolder folder;
  const Dataset data = data_of(10);
  const std::string path = folder.path("no/such/folder.json");
  EXPECT_TRUE(throws<IoError>(
      [&] { save_split(path, data, make_split(data, 1, HoldoutMode::last, 1)); }, {path}));
}

}  // namespace
}  // namespace msd
