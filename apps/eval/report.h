// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <iosfwd>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace msd {

enum class ReportFormat : std::uint8_t { table, json, csv };

/// How a report's values are shown to people; programs get them as they are.
struct ReportColumn {
  std::string key;    // of JSON and CSV; "": in the table only
  std::string title;  // of the table; "": not there
  std::function<std::string(const nlohmann::ordered_json&)> show;
};

/// Rows of values that can be written as a table, as CSV or as JSON.
class Report {
 public:
  explicit Report(std::vector<ReportColumn> columns) : columns_(std::move(columns)) {}
  /// One value a column; null where there is none.
  void add_row(std::vector<nlohmann::ordered_json> row) { rows_.push_back(std::move(row)); }

  void print_table(std::ostream& out) const;
  /// A header line, then the rows; no quoting: values are numbers or empty.
  std::string csv() const;
  /// An array of objects.
  nlohmann::ordered_json json() const;

 private:
  std::vector<ReportColumn> columns_;
  std::vector<std::vector<nlohmann::ordered_json>> rows_;
};

std::string show_integer(const nlohmann::ordered_json& value);
std::string show_percent(const nlohmann::ordered_json& share);
std::string show_count(const nlohmann::ordered_json& count);
/// Shares as whole per cent: "31/22/47".
std::string show_shares(const nlohmann::ordered_json& shares);

/// Writes `csv` or `json` to `output`, by its ending; any other name is a folder, made where it is
/// missing, that gets `stem`.csv and `stem`.json. Returns the files written. Throws IoError.
std::vector<std::string> write_report(const std::string& output, const std::string& stem,
                                      const std::string& csv, const nlohmann::ordered_json& json);

}  // namespace msd
