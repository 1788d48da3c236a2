// SPDX-License-Identifier: MIT
#include "apps/train/metrics_file.h"

#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "engine/files/file.h"

namespace msd {

MetricsFile::MetricsFile(std::filesystem::path path, std::int64_t epochs)
    : path_(std::move(path)), epochs_(epochs) {
  write_file_atomically(path_, written());
}

void MetricsFile::add(const nlohmann::json& line) { waiting_.push_back(line.dump()); }

void MetricsFile::write() {
  if (waiting_.empty()) return;
  if (is_torn_ || waiting_.size() > 1) {
    std::string text = written();
    for (const std::string& line : waiting_) text += line + "\n";
    write_file_atomically(path_, text);
  } else {
    is_torn_ = true;
    append_line(path_, waiting_[0]);
  }
  is_torn_ = false;
  epochs_ += static_cast<std::int64_t>(waiting_.size());
  waiting_.clear();
}

// Without the lines of later epochs and parts of lines.
std::string MetricsFile::written() const {
  std::string kept;
  std::error_code failed;  // and what is read from a pipe is not what was written there
  if (epochs_ == 0 || !std::filesystem::is_regular_file(path_, failed)) return kept;
  std::istringstream lines(read_text_file(path_));
  for (std::string line; std::getline(lines, line);) {
    const nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
    if (json.is_object() && json.value("epoch", epochs_ + 1) <= epochs_) kept += line + "\n";
  }
  return kept;
}

}  // namespace msd
