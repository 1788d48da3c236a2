// SPDX-License-Identifier: MIT
#include "engine/algorithm_cache.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <vector>

#include "engine/files/file.h"
#include "engine/runtime.h"
#include "kernels/error.h"
#include "tests/support/temp_folder.h"

namespace msd {
namespace {

class AlgorithmCacheTest : public testing::Test {
 protected:
  AlgorithmCache cache(const std::string& machine = "GPU 1") {
    return {path_, machine, [this](const std::string& text) { warnings_.push_back(text); }};
  }

  test::TempFolder folder_;
  std::filesystem::path path_ = folder_ / "deep" / "algorithms.json";
  std::vector<std::string> warnings_;
};

TEST_F(AlgorithmCacheTest, KeepsNamesForLaterProcesses) {
  AlgorithmCache first = cache();
  EXPECT_EQ(first.find("a"), "");
  first.keep("a", "cudnn");
  first.keep("b", "handwritten");
  EXPECT_EQ(first.find("a"), "cudnn");
  const AlgorithmCache later = cache();
  EXPECT_EQ(later.find("a"), "cudnn");
  EXPECT_EQ(later.find("b"), "handwritten");
  EXPECT_EQ(later.find("c"), "");
  EXPECT_TRUE(warnings_.empty());
}

TEST_F(AlgorithmCacheTest, UsesOnlyWhatThisMachineMeasuredAndKeepsTheRest) {
  cache("GPU 1").keep("a", "cudnn");
  AlgorithmCache other = cache("GPU 2");
  EXPECT_EQ(other.find("a"), "");
  other.keep("a", "handwritten");
  EXPECT_EQ(cache("GPU 1").find("a"), "cudnn");
  EXPECT_EQ(cache("GPU 2").find("a"), "handwritten");
}

TEST_F(AlgorithmCacheTest, MergesWithWhatOthersWroteMeanwhile) {
  AlgorithmCache one = cache(), two = cache();
  one.keep("a", "cudnn");
  two.keep("b", "cublaslt");
  const AlgorithmCache later = cache();
  EXPECT_EQ(later.find("a"), "cudnn");
  EXPECT_EQ(later.find("b"), "cublaslt");
}

TEST_F(AlgorithmCacheTest, IgnoresAndSparesAFileThatIsDamagedOrForeign) {
  cache().keep("a", "cudnn");
  const std::string sound = read_text_file(path_);
  for (const std::string& text :
       {sound.substr(0, sound.size() / 2), std::string(), std::string("[1]"), std::string("{}"),
        std::string(R"({"format":"msd-algorithms-2","machines":{}})"),
        std::string(R"({"format":1,"machines":{}})"),
        std::string(R"({"format":"msd-algorithms-1","machines":[]})"),
        std::string(R"({"format":"msd-algorithms-1","machines":{"GPU 1":3}})"),
        std::string(R"({"format":"msd-algorithms-1","machines":{"GPU 1":{"a":3}}})")}) {
    SCOPED_TRACE(text);
    write_file_atomically(path_, text);
    warnings_.clear();
    AlgorithmCache damaged = cache();
    ASSERT_EQ(warnings_.size(), 1u);
    EXPECT_NE(warnings_[0].find(path_.string()), std::string::npos) << warnings_[0];
    EXPECT_EQ(damaged.find("a"), "");
    damaged.keep("a", "cublaslt");
    EXPECT_EQ(damaged.find("a"), "cublaslt");
    EXPECT_EQ(read_text_file(path_), text);
    EXPECT_EQ(warnings_.size(), 1u) << "once is enough";
  }
}

TEST_F(AlgorithmCacheTest, GoesOnWhereItCannotBeWritten) {
  write_file_atomically(folder_ / "file", "");
  path_ = folder_ / "file" / "algorithms.json";
  AlgorithmCache unwritable = cache();
  unwritable.keep("a", "cudnn");
  unwritable.keep("b", "cudnn");
  EXPECT_EQ(unwritable.find("a"), "cudnn");
  EXPECT_EQ(warnings_.size(), 1u);
}

TEST(AlgorithmCachePath, FollowsTheEnvironment) {
  ASSERT_EQ(unsetenv("MSD_ALGORITHM_CACHE"), 0);
  ASSERT_EQ(setenv("XDG_CACHE_HOME", "/caches", 1), 0);
  EXPECT_EQ(algorithm_cache_path(), "/caches/msd/algorithms.json");
  ASSERT_EQ(unsetenv("XDG_CACHE_HOME"), 0);
  EXPECT_TRUE(algorithm_cache_path().string().ends_with("/.cache/msd/algorithms.json"));
  ASSERT_EQ(setenv("MSD_ALGORITHM_CACHE", "/here.json", 1), 0);
  EXPECT_EQ(algorithm_cache_path(), "/here.json");
  ASSERT_EQ(unsetenv("MSD_ALGORITHM_CACHE"), 0);
}

TEST(RuntimeAlgorithms, AreForTheGpu) {
  Runtime runtime;
  for (const char* policy : {"default", "fastest", "conv_forward=cudnn"}) {
    try {
      runtime.set_algorithms(policy);
      ADD_FAILURE() << policy;
    } catch (const ConfigError& error) {
      EXPECT_NE(std::string(error.what()).find("needs --device cuda"), std::string::npos);
    }
  }
  EXPECT_THROW(runtime.set_algorithms("nonsense"), ConfigError);
}

}  // namespace
}  // namespace msd
