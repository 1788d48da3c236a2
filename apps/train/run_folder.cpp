// SPDX-License-Identifier: MIT
#include "apps/train/run_folder.h"

#include <iostream>

#include "kernels/error.h"

namespace msd {
namespace {

namespace fs = std::filesystem;

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
  for (const fs::path& file : {folder.latest(), folder.previous(), folder.best()}) {
    if (!fs::exists(file)) continue;
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

}  // namespace msd
