// SPDX-License-Identifier: MIT
#include "apps/common/output_file.h"

#include <filesystem>
#include <iostream>
#include <system_error>

#include "engine/files/file.h"
#include "engine/files/write_target.h"
#include "kernels/check.h"

namespace msd {
namespace {

namespace fs = std::filesystem;

// Also of two names that do not exist yet.
bool is_same_file(const fs::path& a, const fs::path& b) {
  std::error_code failed;
  if (fs::exists(a, failed)) return fs::is_regular_file(a, failed) && fs::equivalent(a, b, failed);
  const auto whole = [&](const fs::path& path) {
    return fs::weakly_canonical(write_target(path).path, failed);
  };
  return !fs::exists(b, failed) && whole(a) == whole(b) && !failed;
}

}  // namespace

void check_output(const NamedFile& output, const std::vector<NamedFile>& others) {
  if (output.path.empty()) return;
  for (const NamedFile& other : others) {
    if (other.path.empty() || !is_same_file(output.path, other.path)) continue;
    throw ConfigError(message(output.option, " and ", other.option, " are the same file, ",
                              output.path, "; write another one"));
  }
  try {
    require_writable(output.path);
  } catch (const IoError& error) {
    throw IoError(message(output.option, ": ", error.what()));
  }
}

void require_printed() {
  if (!std::cout.flush()) throw IoError("cannot write to stdout; is the disk full?");
}

}  // namespace msd
