// SPDX-License-Identifier: MIT
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace msd {

/// A table of text for people: columns aligned, numbers to the right. Control characters in a cell
/// become '?'.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : header_(std::move(header)) {}
  /// Where there are fewer cells than columns, the last one takes the rest of the line.
  void add_row(std::vector<std::string> row);
  void print(std::ostream& out) const;

 private:
  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
};

/// value with `digits` decimals.
std::string fixed(double value, int digits);
/// A share in per cent with two decimals: 0.1234 -> "12.34".
std::string percent(double share);
/// 13244672 -> "13.24M".
std::string human_count(double value);
/// 3723 -> "1:02:03"; 63 -> "1:03".
std::string human_duration(double seconds);

}  // namespace msd
