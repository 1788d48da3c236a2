// SPDX-License-Identifier: MIT
// What kernels must not say, as the emulated device would not see it.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace msd::emulation::test {
namespace {

// Instead: MSD_SHARED and SharedPieces, the wrappers of device_code.cuh, launch(), one code path.
constexpr std::string_view kBanned[] = {
    "__shared__", "asm(",         "asm volatile",  "<<<",        "__CUDA_ARCH__",
    "__CUDACC__", "__activemask", "__syncthreads", "__syncwarp", "_sync("};
constexpr std::string_view kAllowed[] = {" block_sync(", " warp_sync("};

bool is_violation(std::string code) {
  code = " " + code.substr(0, code.find("//"));
  for (const std::string_view allowed : kAllowed) {
    for (std::size_t at; (at = code.find(allowed)) != std::string::npos;) {
      code.erase(at, allowed.size());
    }
  }
  return std::any_of(std::begin(kBanned), std::end(kBanned), [&](std::string_view banned) {
    return code.find(banned) != std::string::npos;
  });
}

/// "FILE:LINE: TEXT" for every line in the folder that says what is banned, outside comments.
std::vector<std::string> violations(const std::filesystem::path& root, const std::string& exempt) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    const std::filesystem::path& path = entry.path();
    if (!entry.is_regular_file() || path.filename() == exempt) continue;
    std::ifstream file(path);
    std::string line;
    for (int number = 1; std::getline(file, line); ++number) {
      if (is_violation(line)) {
        found.push_back(path.string() + ":" + std::to_string(number) + ": " + line);
      }
    }
  }
  return found;
}

TEST(KernelSources, KeepDeviceLanguageInOneHeader) {
  const std::filesystem::path kernels = std::filesystem::path(MSD_SOURCE_FOLDER) / "kernels/cuda";
  for (const std::string& violation : violations(kernels, "device_code.cuh")) {
    ADD_FAILURE() << violation
                  << "\n  only kernels/cuda/device/device_code.cuh may; use what it offers";
  }
  EXPECT_FALSE(violations(kernels, "").empty()) << "the search finds nothing, not even there";
  EXPECT_TRUE(is_violation("  __syncthreads();"));
  EXPECT_TRUE(is_violation("x = __shfl_xor_sync(mask, x, 1);"));
  EXPECT_FALSE(is_violation("  block_sync();  // not __syncthreads"));
}

}  // namespace
}  // namespace msd::emulation::test
