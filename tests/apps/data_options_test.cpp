// SPDX-License-Identifier: MIT
#include "apps/common/data_options.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/errors.h"

namespace msd::test {
namespace {

using nlohmann::json;

/// The options of a run without a command line that stored `stored`.
class StoredOptions {
 public:
  explicit StoredOptions(const json& stored) {
    options.add_to(line_, true);
    options.set_defaults(stored);
  }
  DataOptions options;

 private:
  CommandLine line_{"for a test", "test"};
};

TEST(DataOptions, StoreWhatConcernsTheirDataSet) {
  const json holdout = {
      {"split", ""}, {"holdout", -1}, {"holdout_mode", "random"}, {"holdout_seed", 1}};
  const auto identity = [&](const std::string& name, json more) {
    more.update(holdout);
    more["dataset"] = name;
    EXPECT_EQ(StoredOptions({{"dataset", name}, {"data", "here"}}).options.identity(), more);
    more["data"] = "here";
    EXPECT_EQ(StoredOptions({{"dataset", name}, {"data", "here"}}).options.to_json(), more);
  };
  identity("synthetic",
           {{"synthetic_train", 10000}, {"synthetic_test", 2000}, {"synthetic_seed", 1}});
  identity("cifar10", json::object());
  identity("cifar100", json::object());
  identity("folder", {{"fit", nullptr}});
}

TEST(DataOptions, AreThoseStored) {
  const json stored = {{"dataset", "synthetic"},
                       {"data", ""},
                       {"split", ""},
                       {"holdout", 7},
                       {"holdout_mode", "last"},
                       {"holdout_seed", 3},
                       {"synthetic_train", 30},
                       {"synthetic_test", 20},
                       {"synthetic_seed", -4}};
  const StoredOptions made(stored);
  EXPECT_EQ(made.options.to_json(), stored);
  Runtime runtime;
  const Dataset data = made.options.load(runtime);
  EXPECT_EQ(data.train.size(), 30);
  EXPECT_EQ(data.test.size(), 20);
  EXPECT_EQ(made.options.split(data).holdout.front(), 23);
}

TEST(DataOptions, RefuseAStoredNameThatIsNoDataSets) {
  Runtime runtime;
  const StoredOptions made({{"dataset", "imagenet"}, {"data", "here"}});
  EXPECT_TRUE(
      throws<ConfigError>([&] { made.options.load(runtime); },
                          {"imagenet", "--dataset takes synthetic, cifar10, cifar100 and folder"}));
}

}  // namespace
}  // namespace msd::test
