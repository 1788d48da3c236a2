// SPDX-License-Identifier: MIT
#include "apps/eval/report.h"

#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/common/table.h"
#include "engine/files/file.h"
#include "engine/files/json_text.h"
#include "kernels/check.h"

namespace msd {

using nlohmann::ordered_json;

double ReportValue::number() const {
  const auto* whole = std::get_if<std::int64_t>(&value_);
  return whole == nullptr ? std::get<double>(value_) : static_cast<double>(*whole);
}

ordered_json ReportValue::json() const {
  struct ToJson {
    ordered_json operator()(std::monostate) const { return nullptr; }
    ordered_json operator()(std::int64_t whole) const { return whole; }
    ordered_json operator()(double number) const { return number; }
    ordered_json operator()(const std::vector<double>& numbers) const { return numbers; }
  };
  return std::visit(ToJson(), value_);
}

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
      cells.push_back(row[i].is_none() ? "-" : columns_[i].show(row[i]));
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
    line([&](std::size_t i) { return row[i].is_none() ? std::string() : row[i].json().dump(); });
  }
  return text;
}

ordered_json Report::json() const {
  ordered_json rows = ordered_json::array();
  for (const auto& row : rows_) {
    ordered_json object = ordered_json::object();
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      if (!columns_[i].key.empty()) object[columns_[i].key] = row[i].json();
    }
    rows.push_back(std::move(object));
  }
  return rows;
}

std::string show_integer(const ReportValue& value) { return fixed(value.number(), 0); }

std::string show_percent(const ReportValue& share) { return percent(share.number()); }

std::string show_count(const ReportValue& count) { return human_count(count.number()); }

std::string show_shares(const ReportValue& shares) {
  std::string text;
  for (const double share : shares.numbers()) {
    if (!text.empty()) text += '/';
    text += fixed(100.0 * share, 0);
  }
  return text;
}

namespace {

namespace fs = std::filesystem;

struct ReportFiles {
  std::string csv, json;  // "": not written
  std::string folder;     // that holds them, where it may have to be made
};

ReportFiles report_files(const std::string& output, const std::string& stem, ReportFormat format) {
  const fs::path path(output);
  if (path.extension() == ".csv") return {output, "", ""};
  if (path.extension() == ".json") return {"", output, ""};
  std::error_code failed;
  const fs::file_status status = fs::status(path, failed);
  if (fs::exists(status) && !fs::is_directory(status) && !fs::is_regular_file(status)) {
    return format == ReportFormat::json ? ReportFiles{"", output, ""} : ReportFiles{output, "", ""};
  }
  return {(path / (stem + ".csv")).string(), (path / (stem + ".json")).string(), output};
}

void make_report_folder(const std::string& folder) {
  try {
    make_folder(folder);
  } catch (const IoError& error) {
    throw IoError(
        message(error.what(), "; --output takes a folder, or a file ending in .csv or .json"));
  }
}

void require_makable(const std::string& folder) {
  std::error_code failed;
  fs::path place = fs::absolute(folder, failed);
  while (!fs::exists(place, failed) && place != place.parent_path()) place = place.parent_path();
  if (!fs::is_directory(place, failed)) {
    throw IoError(
        message("--output: cannot make the folder ", folder, ": ", place.string(),
                " is a file; --output takes a folder, or a file ending in .csv or .json"));
  }
  require_writable(place / "any");
}

}  // namespace

void check_report_output(const std::string& output, const std::string& stem, ReportFormat format,
                         const std::vector<NamedFile>& others) {
  if (output.empty()) return;
  const ReportFiles files = report_files(output, stem, format);
  std::error_code failed;
  if (!files.folder.empty() && !fs::is_directory(files.folder, failed)) {
    if (const fs::path path(output); path.has_extension()) {
      throw ConfigError(message("--output: ", output, " ends in ", path.extension().string(),
                                "; give a file ending in .csv or .json, or a folder: one that is "
                                "there, or a new name without an ending"));
    }
    return require_makable(files.folder);
  }
  for (const std::string& file : {files.csv, files.json}) check_output({"--output", file}, others);
}

std::vector<std::string> write_report(const std::string& output, const std::string& stem,
                                      const std::string& csv, const ordered_json& json,
                                      ReportFormat format) {
  const ReportFiles files = report_files(output, stem, format);
  if (!files.folder.empty()) make_report_folder(files.folder);
  std::vector<std::string> written;
  if (!files.csv.empty()) {
    write_file_atomically(files.csv, csv);
    written.push_back(files.csv);
  }
  if (!files.json.empty()) {
    write_file_atomically(files.json, printed_json(json, 1) + "\n");
    written.push_back(files.json);
  }
  return written;
}

void publish(const ReportForms& report, const std::string& output, ReportFormat format) {
  if (!output.empty()) {
    for (const std::string& written :
         write_report(output, report.stem, report.rows.csv(), report.json, format)) {
      std::cerr << "wrote " << written << '\n';
    }
  }
  switch (format) {
    case ReportFormat::json:
      std::cout << printed_json(report.json, 1) << '\n';
      break;
    case ReportFormat::csv:
      std::cerr << report.beside_csv;
      std::cout << report.rows.csv();
      break;
    case ReportFormat::table:
      std::cout << report.above;
      report.rows.print_table(std::cout);
      std::cout << report.below;
  }
}

}  // namespace msd
