// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "apps/common/output_file.h"

namespace msd {

enum class ReportFormat : std::uint8_t { table, json, csv };

/// One value of a report: a number, several of them, or none.
class ReportValue {
 public:
  // Implicit, so that a row is a list of what its columns hold.
  // NOLINTBEGIN(google-explicit-constructor)
  ReportValue() = default;
  template <std::integral T>
  ReportValue(T whole) : value_(static_cast<std::int64_t>(whole)) {}
  ReportValue(double number) : value_(number) {}
  ReportValue(std::optional<double> number) {
    if (number) value_ = *number;
  }
  ReportValue(std::vector<double> numbers) : value_(std::move(numbers)) {}
  // NOLINTEND(google-explicit-constructor)

  bool is_none() const { return std::holds_alternative<std::monostate>(value_); }
  /// Of one that is a single number.
  double number() const;
  /// Of one that is several.
  const std::vector<double>& numbers() const { return std::get<std::vector<double>>(value_); }
  nlohmann::ordered_json json() const;

 private:
  std::variant<std::monostate, std::int64_t, double, std::vector<double>> value_;
};

/// How a report's values are shown to people; programs get them as they are.
struct ReportColumn {
  std::string key;    // of JSON and CSV; "": in the table only
  std::string title;  // of the table; "": not there
  std::function<std::string(const ReportValue&)> show;
};

/// Rows of values that can be written as a table, as CSV or as JSON.
class Report {
 public:
  explicit Report(std::vector<ReportColumn> columns) : columns_(std::move(columns)) {}
  /// One value a column.
  void add_row(std::vector<ReportValue> row) { rows_.push_back(std::move(row)); }

  void print_table(std::ostream& out) const;
  /// A header line, then the rows; no quoting: values are numbers or empty.
  std::string csv() const;
  /// An array of objects.
  nlohmann::ordered_json json() const;

 private:
  std::vector<ReportColumn> columns_;
  std::vector<std::vector<ReportValue>> rows_;
};

std::string show_integer(const ReportValue& value);
std::string show_percent(const ReportValue& share);
std::string show_count(const ReportValue& count);
/// Shares as whole per cent: "31/22/47".
std::string show_shares(const ReportValue& shares);

/// Writes `csv` or `json` to `output`, by its ending; to a pipe or device, the JSON where that is
/// the format, else the CSV; any other name is a folder, made where it is missing, that gets
/// `stem`.csv and `stem`.json. Returns the files written. Throws IoError.
std::vector<std::string> write_report(const std::string& output, const std::string& stem,
                                      const std::string& csv, const nlohmann::ordered_json& json,
                                      ReportFormat format);
/// Before the work: throws where write_report() could not, see check_output(). "": no output.
void check_report_output(const std::string& output, const std::string& stem, ReportFormat format,
                         const std::vector<NamedFile>& others);

/// A report with what is told beside its rows; borrowed.
struct ReportForms {
  std::string stem;  // of its files
  const Report& rows;
  const nlohmann::ordered_json& json;  // the rows and all that is known of them
  std::string above, below;            // the table, whole lines
  std::string beside_csv;              // on stderr
};

/// Writes the report to `output`, see write_report, where that is not "", and prints it on stdout
/// in that format. Throws IoError.
void publish(const ReportForms& report, const std::string& output, ReportFormat format);

}  // namespace msd
