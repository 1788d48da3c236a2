// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <memory>

#include "engine/file.h"
#include "models/checkpoint.h"

namespace msd {

/// The folder of a run, locked against a second trainer. Its files: config.json, split.json,
/// metrics.jsonl, checkpoint-latest.safetensors, checkpoint-previous.safetensors (the latest
/// before), checkpoint-best.safetensors.
class RunFolder {
 public:
  /// For a new run: makes the folder. Throws ConfigError where it holds a run already; with
  /// `overwrite` that run's checkpoints are removed.
  static RunFolder create(const std::filesystem::path& path, bool overwrite);
  /// For continuing a run; throws ConfigError where there is none.
  static RunFolder open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path latest() const { return path_ / "checkpoint-latest.safetensors"; }
  std::filesystem::path previous() const { return path_ / "checkpoint-previous.safetensors"; }
  std::filesystem::path best() const { return path_ / "checkpoint-best.safetensors"; }
  std::filesystem::path metrics() const { return path_ / "metrics.jsonl"; }

  /// The latest checkpoint. Where it is missing or damaged the previous one takes its place, for
  /// good, with a warning on stderr that names both; the damaged file is kept under another name.
  Checkpoint read_latest() const;

 private:
  explicit RunFolder(const std::filesystem::path& path);

  std::filesystem::path path_;
  std::unique_ptr<FileLock> lock_;
};

}  // namespace msd
