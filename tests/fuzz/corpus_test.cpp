// SPDX-License-Identifier: MIT
// Every file that the fuzzers start from, and every one that once broke a reader, in ordinary
// builds.
#include <gtest/gtest.h>
#include <algorithm>

#include <filesystem>
#include <string>

#include "engine/files/file.h"
#include "tests/fuzz/targets.h"

namespace msd::fuzz {
namespace {

struct Target {
  const char* name;
  void (*read)(Bytes);
};
constexpr Target kTargets[] = {{"cifar", cifar},
                               {"config", config},
                               {"image", image},
                               {"jpeg", jpeg},
                               {"pickle", pickle},
                               {"png", png},
                               {"safetensors", safetensors},
                               {"thresholds", thresholds},
                               {"torch", torch},
                               {"torch7", torch7},
                               {"webp", webp}};

class Corpus : public testing::TestWithParam<Target> {};

// good*: files that must be read; the others may also be refused.
TEST_P(Corpus, IsReadOrRefused) {
  const std::filesystem::path folder = std::filesystem::path(MSD_FUZZ_CORPUS) / GetParam().name;
  int good = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    SCOPED_TRACE(entry.path());
    bool read = false;
    EXPECT_NO_THROW(read = run(GetParam().read, read_file(entry.path())));
    if (!entry.path().filename().string().starts_with("good")) continue;
    EXPECT_TRUE(read);
    ++good;
  }
  EXPECT_GE(good, 1);
}

INSTANTIATE_TEST_SUITE_P(Fuzz, Corpus, testing::ValuesIn(kTargets),
                         [](const auto& target) { return target.param.name; });

TEST(Corpus, NoFolderIsForgotten) {
  for (const auto& entry : std::filesystem::directory_iterator(MSD_FUZZ_CORPUS)) {
    const std::string name = entry.path().filename();
    EXPECT_TRUE(std::any_of(std::begin(kTargets), std::end(kTargets), [&](const Target& target) {
      return target.name == name;
    })) << name;
  }
}

}  // namespace
}  // namespace msd::fuzz
