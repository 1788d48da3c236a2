// SPDX-License-Identifier: MIT
#include "apps/train/run_folder.h"

#include <algorithm>
#include <charconv>
#include <iostream>
#include <string_view>

#include "kernels/check.h"

namespace msd {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEpochPrefix = "checkpoint-epoch-", kSuffix = ".safetensors";
constexpr std::size_t kEpochDigits = 4;

fs::path named(const fs::path& folder, std::string_view name) {
  return folder / ("checkpoint-" + std::string(name) + std::string(kSuffix));
}

// 7 of checkpoint-epoch-0007.safetensors; 0 of other files.
std::int64_t epoch_of(const fs::path& file) {
  const std::string name = file.filename().string();
  if (!name.starts_with(kEpochPrefix) || !name.ends_with(kSuffix)) return 0;
  const char* end = name.data() + name.size() - kSuffix.size();
  std::int64_t epoch = 0;
  const auto [at, error] = std::from_chars(name.data() + kEpochPrefix.size(), end, epoch);
  return error == std::errc() && at == end ? std::max<std::int64_t>(0, epoch) : 0;
}

std::unique_ptr<FileLock> lock(const fs::path& folder) {
  try {
    return std::make_unique<FileLock>(folder / "run.lock");
  } catch (const IoError& error) {
    throw IoError(message("--run-dir ", folder.string(), ": ", error.what(),
                          "; wait for it to end or use another folder"));
  }
}

}  // namespace

RunFolder::RunFolder(const fs::path& path) : path_(path), lock_(lock(path)) {
  remove_temporary_files(path_);
}

RunFolder RunFolder::create(const fs::path& path, bool overwrite) {
  make_folder(path);
  RunFolder folder(path);
  for (const fs::path& file : checkpoints_in(path)) {
    if (!overwrite) {
      throw ConfigError(message("--run-dir ", path.string(), " already holds a run; use --resume ",
                                "to continue it, --overwrite to start anew, or another folder"));
    }
    remove_file(file);
  }
  return folder;
}

RunFolder RunFolder::open(const fs::path& path) {
  if (!fs::is_directory(path)) {
    throw ConfigError(message("--resume: there is no folder ", path.string(),
                              "; give the --run-dir of the run to continue"));
  }
  RunFolder folder(path);
  if (!fs::exists(folder.latest()) && !fs::exists(folder.previous())) {
    throw ConfigError(message("--resume: ", path.string(),
                              " holds no checkpoint to continue from; start the run anew"));
  }
  return folder;
}

fs::path RunFolder::latest() const { return named(path_, "latest"); }
fs::path RunFolder::previous() const { return named(path_, "previous"); }
fs::path RunFolder::best() const { return named(path_, "best"); }

fs::path RunFolder::epoch(std::int64_t epoch) const {
  std::string digits = std::to_string(epoch);
  if (digits.size() < kEpochDigits) digits.insert(0, kEpochDigits - digits.size(), '0');
  return named(path_, "epoch-" + digits);
}

void RunFolder::trim_epochs(std::int64_t last, std::int64_t count) const {
  for (const fs::path& file : checkpoints_in(path_)) {
    const std::int64_t epoch = epoch_of(file);
    if (epoch > last || (epoch > 0 && count > 0 && epoch <= last - count)) remove_file(file);
  }
}

Checkpoint RunFolder::read_latest() const {
  std::string reason;
  try {
    return read_checkpoint(latest());
  } catch (const FormatError& error) {
    reason = error.what();
  } catch (const IoError& error) {
    reason = error.what();
  }
  if (!fs::exists(previous())) throw FormatError(reason);
  try {
    static_cast<void>(read_checkpoint(previous()));
  } catch (const FormatError& error) {
    throw FormatError(message(reason, "; nor can the one before be used: ", error.what()));
  }
  // The next save moves the latest to previous(): what is damaged must be gone by then.
  std::string kept;
  if (fs::exists(latest())) {
    const fs::path damaged = path_ / "checkpoint-damaged.safetensors";
    rename_file(latest(), damaged);
    kept = " (kept as " + damaged.string() + ")";
  }
  rename_file(previous(), latest());
  std::cerr << "msd-train: warning: " << reason << kept << "; continuing from the one before, "
            << previous().string() << ", which takes its place\n";
  return read_checkpoint(latest());
}

std::vector<fs::path> checkpoints_in(const fs::path& folder) {
  std::vector<fs::path> found;
  for (const std::string_view name : {"latest", "previous", "best"}) {
    if (fs::exists(named(folder, name))) found.push_back(named(folder, name));
  }
  if (!fs::is_directory(folder)) return found;
  try {
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
      if (epoch_of(entry.path()) > 0) found.push_back(entry.path());
    }
  } catch (const fs::filesystem_error& error) {
    throw IoError(message("cannot list ", folder.string(), ": ", error.code().message()));
  }
  return found;
}

}  // namespace msd
