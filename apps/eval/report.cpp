// SPDX-License-Identifier: MIT
#include "apps/eval/report.h"

#include <filesystem>
#include <ostream>

#include "apps/common/table.h"
#include "engine/files/file.h"
#include "kernels/error.h"

namespace msd {

using nlohmann::ordered_json;

void Report::print_table(std::ostream& out) const {
  std::vector<std::string> header;
  for (const ReportColumn& column : columns_) {
    if (!column.title.empty()) header.push_back(column.title);
  }
  Table table(std::move(header));
  for (const auto& row : rows_) {
    std::vector<std::string> cells;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      if (columns_[i].title.empty()) continue;
      cells.push_back(row[i].is_null() ? "-" : columns_[i].show(row[i]));
    }
    table.add_row(std::move(cells));
  }
  table.print(out);
}

std::string Report::csv() const {
  std::string text;
  const auto line = [&](const auto& cell) {
    bool first = true;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      if (columns_[i].key.empty()) continue;
      if (!first) text += ',';
      text += cell(i);
      first = false;
    }
    text += '\n';
  };
  line([&](std::size_t i) { return columns_[i].key; });
  for (const auto& row : rows_) {
    line([&](std::size_t i) { return row[i].is_null() ? std::string() : row[i].dump(); });
  }
  return text;
}

ordered_json Report::json() const {
  ordered_json rows = ordered_json::array();
  for (const auto& row : rows_) {
    ordered_json object = ordered_json::object();
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      if (!columns_[i].key.empty()) object[columns_[i].key] = row[i];
    }
    rows.push_back(std::move(object));
  }
  return rows;
}

std::string show_integer(const ordered_json& value) { return fixed(value.get<double>(), 0); }

std::string show_percent(const ordered_json& share) { return percent(share.get<double>()); }

std::string show_count(const ordered_json& count) { return human_count(count.get<double>()); }

std::string show_shares(const ordered_json& shares) {
  std::string text;
  for (const ordered_json& share : shares) {
    if (!text.empty()) text += '/';
    text += fixed(100.0 * share.get<double>(), 0);
  }
  return text;
}

std::vector<std::string> write_report(const std::string& output, const std::string& stem,
                                      const std::string& csv, const ordered_json& json) {
  const std::filesystem::path path(output);
  const std::string json_text = json.dump(1) + "\n";
  if (path.extension() == ".csv" || path.extension() == ".json") {
    write_file_atomically(path, path.extension() == ".csv" ? csv : json_text);
    return {path.string()};
  }
  try {
    make_folder(path);
  } catch (const IoError& error) {
    throw IoError(
        message(error.what(), "; --output takes a folder, or a file ending in .csv or .json"));
  }
  const std::filesystem::path csv_path = path / (stem + ".csv"),
                              json_path = path / (stem + ".json");
  write_file_atomically(csv_path, csv);
  write_file_atomically(json_path, json_text);
  return {csv_path.string(), json_path.string()};
}

}  // namespace msd
