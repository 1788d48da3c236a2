// SPDX-License-Identifier: MIT
#include "engine/algorithm_cache.h"

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "engine/files/file.h"
#include "kernels/error.h"

namespace msd {
namespace {

using nlohmann::json;

constexpr const char* kCacheFormat = "msd-algorithms-1";

/// The file's content, checked as far as it is used; throws FormatError.
json read_cache(const std::filesystem::path& path) {
  std::error_code failed;
  if (!std::filesystem::exists(path, failed)) {
    return {{"format", kCacheFormat}, {"machines", json::object()}};
  }
  const json file = json::parse(read_text_file(path), nullptr, /*allow_exceptions=*/false);
  const auto is_sound = [&] {
    if (!file.is_object() || file.value("format", json()) != kCacheFormat) return false;
    const json machines = file.value("machines", json());
    if (!machines.is_object()) return false;
    for (const auto& [machine, problems] : machines.items()) {
      if (!problems.is_object()) return false;
      for (const auto& [problem, algorithm] : problems.items()) {
        if (!algorithm.is_string()) return false;
      }
    }
    return true;
  };
  if (!is_sound()) {
    throw FormatError(path.string() + " is damaged or no cache of algorithms; remove it");
  }
  return file;
}

std::string environment_variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

AlgorithmCache::AlgorithmCache(std::filesystem::path path, std::string machine, Warn warn)
    : path_(std::move(path)), machine_(std::move(machine)), warn_(std::move(warn)) {
  try {
    const json machines = read_cache(path_).at("machines");
    if (machines.contains(machine_)) {
      names_ = machines.at(machine_).get<std::map<std::string, std::string>>();
    }
  } catch (const Error& error) {
    disable(error.what());
  }
}

void AlgorithmCache::disable(const std::string& reason) {
  writes_ = false;
  if (warn_) warn_(reason + "; what is measured is not kept");
}

std::string AlgorithmCache::find(const std::string& problem) const {
  const auto found = names_.find(problem);
  return found == names_.end() ? "" : found->second;
}

void AlgorithmCache::keep(const std::string& problem, std::string_view algorithm) {
  names_[problem] = algorithm;
  if (!writes_) return;
  try {
    json file = read_cache(path_);
    json& mine = file["machines"][machine_];
    for (const auto& [name, kept] : names_) mine[name] = kept;
    if (path_.has_parent_path()) make_folder(path_.parent_path());
    write_file_atomically(path_, file.dump(1) + "\n");
  } catch (const Error& error) {
    disable(error.what());
  }
}

std::filesystem::path algorithm_cache_path() {
  if (const std::string given = environment_variable("MSD_ALGORITHM_CACHE"); !given.empty())
    return given;
  const std::string caches = environment_variable("XDG_CACHE_HOME");
  const std::filesystem::path folder =
      caches.empty() ? std::filesystem::path(environment_variable("HOME")) / ".cache"
                     : std::filesystem::path(caches);
  return folder / "msd" / "algorithms.json";
}

}  // namespace msd
