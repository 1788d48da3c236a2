// SPDX-License-Identifier: MIT
// What reaches a user of an exception: words about what was given, nothing of what the program is
// made of. Every program that the other tests run is looked at by speaks_to_users(), too.
#include "apps/common/error_text.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <system_error>
#include <vector>

#include "kernels/check.h"
#include "tests/apps/programs.h"

namespace msd::test {
namespace {

/// What a user is told where `body` throws.
template <typename Body>
std::string told(const Body& body) {
  try {
    body();
  } catch (const std::exception& error) {
    EXPECT_TRUE(speaks_to_users(error_text(error)));
    return error_text(error);
  }
  return "nothing was thrown";
}

TEST(ErrorText, SpeaksOfWhatTheUserGave) {
  EXPECT_EQ(told([] { throw ConfigError("--x is 3"); }), "--x is 3");
  const std::string check = told([] { MSD_CHECK(1 > 2, "a batch of ", 3); });
  EXPECT_NE(check.find("please report"), std::string::npos) << check;
  EXPECT_TRUE(check.ends_with(": a batch of 3")) << check;
  EXPECT_EQ(told([] { throw CudaError("cudaMalloc: no device", "kernels/x.cu:7"); }),
            "cudaMalloc: no device");
  EXPECT_NE(told([] { std::vector<int>().reserve(~std::size_t{0}); }).find("out of memory"),
            std::string::npos);
  EXPECT_NE(told([] { throw std::bad_alloc(); }).find("out of memory"), std::string::npos);
  const std::string long_name(300, 'x');
  EXPECT_EQ(told([&] { static_cast<void>(std::filesystem::exists(long_name)); }),
            "cannot use " + long_name + ": File name too long");
  EXPECT_NE(
      told([] {
        throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again));
      }).find("--threads"),
      std::string::npos);
  EXPECT_NE(told([] { nlohmann::json("text").get<int>(); }).find("must be of type number"),
            std::string::npos);
  EXPECT_NE(told([] { static_cast<void>(std::stoi("x")); }).find("please report"),
            std::string::npos);
  EXPECT_NE(told([] { static_cast<void>(std::vector<int>().at(1)); }).find("please report"),
            std::string::npos);
}

TEST(SpeaksToUsers, SeesWhatLibrariesSay) {
  for (const char* inside :
       {"[json.exception.type_error.302] type must be", "std::bad_alloc", "basic_string::substr",
        "filesystem error: cannot get", "msd-train: stoi", "vector::_M_range_check",
        "momentum nan [isfinite(m), ../kernels/contracts/optimizer.cpp:20]",
        "terminate called without an active exception"}) {
    EXPECT_FALSE(speaks_to_users(inside)) << inside;
  }
  EXPECT_TRUE(speaks_to_users("msd-train: cannot write run/x.h: No space left on device"));
}

class DamagedTraining : public ProgramTest {};

// A checkpoint that another program wrote, or an older version of this one.
TEST_F(DamagedTraining, IsSaidWithTheFilesName) {
  using nlohmann::json;
  ASSERT_TRUE(succeeds(run_program(
      "msd-train", kSmallNetwork + Arguments{"--synthetic-train", "20", "--synthetic-test", "4",
                                             "--epochs", "1", "--run-dir", path("run")})));
  const std::string latest = path("run/checkpoint-latest.safetensors");
  const json good = *read_checkpoint(latest).training;
  const std::vector<std::pair<json::json_pointer, json>> changes = {
      {"/options/epochs"_json_pointer, "many"},
      {"/options/lr"_json_pointer, nullptr},
      {"/options"_json_pointer, 3},
      {"/data/holdout"_json_pointer, "all"},
      {"/state/epoch"_json_pointer, -1},
      {"/state/step"_json_pointer, 1000},
      {"/data/holdout"_json_pointer, 1e300},
      {"/data/dataset"_json_pointer, 7},
      {"/options/exit_weights"_json_pointer, {1, 2}}};
  for (const auto& [place, value] : changes) {
    SCOPED_TRACE(place.to_string());
    json training = good;
    training[place] = value;
    std::filesystem::remove(path("run/checkpoint-previous.safetensors"));
    write_weights("run/checkpoint-latest.safetensors", 1, training);
    EXPECT_TRUE(fails(run_program("msd-train", {"--run-dir", path("run"), "--resume"}), 1,
                      {"msd-train: ", latest}));
  }
  json training = good;
  training["data"]["holdout"] = "all";
  const std::string damaged = write_weights("damaged.safetensors", 1, training);
  EXPECT_TRUE(fails(run_program("msd-eval", {"--weights", damaged}), 1, {damaged, "holdout is"}));
}

}  // namespace
}  // namespace msd::test
