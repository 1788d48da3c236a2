// SPDX-License-Identifier: MIT
#include "apps/train/disk_space.h"

#include "apps/train/run_folder.h"
#include "engine/files/file.h"
#include "kernels/check.h"

namespace msd {
namespace {

namespace fs = std::filesystem;

// The latest may be of mid-epoch, the best older than the kept ones: none need share its space.
constexpr std::int64_t kBesideKept = 4, kFewest = 2;

std::int64_t bytes_in_use(const fs::path& run_dir) {
  double bytes = 0;
  for (const fs::path& file : checkpoints_in(run_dir)) {
    std::error_code error;
    const auto size = fs::file_size(file, error);
    const auto links = error ? 0 : fs::hard_link_count(file, error);
    if (!error && links > 0) bytes += static_cast<double>(size) / static_cast<double>(links);
  }
  return static_cast<std::int64_t>(bytes);
}

}  // namespace

std::string check_disk_space(const fs::path& run_dir, std::int64_t checkpoint_bytes,
                             std::int64_t kept) {
  if (checkpoint_bytes > most_file_bytes()) {
    throw IoError(message("--run-dir: a checkpoint has ", bytes_text(checkpoint_bytes),
                          ", and a file may have ", bytes_text(most_file_bytes()),
                          " here; raise the limit that ulimit -f shows"));
  }
  const std::optional<std::int64_t> free = free_bytes(run_dir);
  if (!free.has_value()) return "";
  const std::int64_t available = *free + bytes_in_use(run_dir);
  const std::int64_t most = checkpoint_bytes * (kBesideKept + kept);
  if (available >= most) return "";
  const std::string place =
      message(bytes_text(available), " for them on the file system of ", run_dir.string());
  if (available < kFewest * checkpoint_bytes) {
    throw IoError(message("--run-dir: two checkpoints of ", bytes_text(checkpoint_bytes),
                          " must fit, and there are ", place,
                          "; free some space or use another --run-dir"));
  }
  return message("this run's checkpoints may take ", bytes_text(most), ", and there are ", place,
                 "; free some space", kept > 0 ? ", lower --keep" : "",
                 " or use another --run-dir");
}

}  // namespace msd
