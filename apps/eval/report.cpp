// SPDX-License-Identifier: MIT
#include "apps/eval/report.h"

#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/common/table.h"
#include "engine/files/file.h"
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

void publish(const ReportForms& report, const std::string& output, ReportFormat format) {
  if (!output.empty()) {
    for (const std::string& written :
         write_report(output, report.stem, report.rows.csv(), report.json)) {
      std::cerr << "wrote " << written << '\n';
    }
  }
  switch (format) {
    case ReportFormat::json:
      std::cout << report.json.dump(1) << '\n';
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
