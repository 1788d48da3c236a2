// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace msd {

/// Which algorithm was fastest for which problem, kept in a JSON file for later runs. What was
/// measured on another machine (GPU, driver, library versions) or by kernels of another revision
/// stays in the file and is not used. Writing merges with what other processes wrote meanwhile.
class AlgorithmCache {
 public:
  using Warn = std::function<void(const std::string&)>;

  /// `machine` is the key of this machine's part. A file that is damaged or something else is left
  /// alone and works as if there were none: warn() says so, as it does when writing fails.
  AlgorithmCache(std::filesystem::path path, std::string machine, Warn warn);

  /// The name kept for the problem, or "".
  std::string find(const std::string& problem) const;
  /// Keeps a name and writes the file.
  void keep(const std::string& problem, std::string_view algorithm);

 private:
  void disable(const std::string& reason);

  std::filesystem::path path_;
  std::string machine_;
  Warn warn_;
  std::map<std::string, std::string> names_;
  bool writes_ = true;
};

/// $MSD_ALGORITHM_CACHE, or msd/algorithms.json in $XDG_CACHE_HOME or ~/.cache.
std::filesystem::path algorithm_cache_path();

}  // namespace msd
