// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace msd {

/// metrics.jsonl: one object a finished epoch, in order, each with its number (from 1) as `epoch`.
class MetricsFile {
 public:
  /// Keeps the lines of the first `epochs` only: a run that goes on from there writes the rest
  /// again. Throws IoError.
  MetricsFile(std::filesystem::path path, std::int64_t epochs);

  /// To be written by the next write().
  void add(const nlohmann::json& line);
  /// Writes the lines that wait. Throws IoError; then they wait for the next call, which removes
  /// what this one may have left of them.
  void write();

 private:
  std::string written() const;

  std::filesystem::path path_;
  std::int64_t epochs_;  // written
  std::vector<std::string> waiting_;
  bool is_torn_ = false;  // may end with a part of what waits
};

}  // namespace msd
