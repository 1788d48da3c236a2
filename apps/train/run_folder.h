// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "engine/files/file.h"
#include "models/weights/checkpoint.h"

namespace msd {

/// The folder of a run, locked against a second trainer. Its files: config.json, split.json,
/// metrics.jsonl, checkpoint-latest.safetensors, checkpoint-previous.safetensors (the latest
/// before), checkpoint-best.safetensors, checkpoint-epoch-0007.safetensors (kept).
class RunFolder {
 public:
  /// For a new run: makes the folder. Throws ConfigError where it holds a run already; with
  /// `overwrite` that run's checkpoints are removed.
  static RunFolder create(const std::filesystem::path& path, bool overwrite);
  /// For continuing a run; throws ConfigError where there is none.
  static RunFolder open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path latest() const;
  std::filesystem::path previous() const;
  std::filesystem::path best() const;
  /// Of a finished epoch, from 1.
  std::filesystem::path epoch(std::int64_t epoch) const;
  std::filesystem::path config() const { return path_ / "config.json"; }
  std::filesystem::path split() const { return path_ / "split.json"; }
  std::filesystem::path metrics() const { return path_ / "metrics.jsonl"; }

  /// The latest checkpoint. Where it is missing or damaged the previous one takes its place, for
  /// good, with a warning on stderr that names both; the damaged file is kept under another name.
  Checkpoint read_latest() const;

  /// Removes the checkpoints of epochs after `last`, and with count > 0 those of the epochs before
  /// the last `count` up to `last`.
  void trim_epochs(std::int64_t last, std::int64_t count) const;

 private:
  explicit RunFolder(const std::filesystem::path& path);

  std::filesystem::path path_;
  std::unique_ptr<FileLock> lock_;
};

/// The checkpoints in a run's folder, or in one that may become that.
std::vector<std::filesystem::path> checkpoints_in(const std::filesystem::path& folder);

}  // namespace msd
