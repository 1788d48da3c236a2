// SPDX-License-Identifier: MIT
#include "apps/common/table.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ostream>
#include <utility>

#include "kernels/error.h"

namespace msd {

void Table::add_row(std::vector<std::string> row) {
  for (std::string& cell : row) cell = one_line(std::move(cell));
  rows_.push_back(std::move(row));
}

void Table::print(std::ostream& out) const {
  const auto takes_the_rest = [&](const std::vector<std::string>& row, std::size_t i) {
    return i + 1 == row.size() && row.size() < header_.size();
  };
  std::vector<std::size_t> widths;
  for (const std::string& cell : header_) widths.push_back(cell.size());
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (!takes_the_rest(row, i)) widths[i] = std::max(widths[i], row[i].size());
    }
  }
  const auto line = [&](const std::vector<std::string>& row) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::size_t indent = takes_the_rest(row, i) ? 0 : widths[i] - row[i].size();
      out << (i == 0 ? "" : "  ") << std::string(indent, ' ') << row[i];
    }
    out << '\n';
  };
  line(header_);
  for (const auto& row : rows_) line(row);
}

std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string percent(double share) { return fixed(100.0 * share, 2); }

std::string human_count(double value) {
  if (value >= 1e9) return fixed(value / 1e9, 2) + "G";
  if (value >= 1e6) return fixed(value / 1e6, 2) + "M";
  if (value >= 1e3) return fixed(value / 1e3, 1) + "k";
  return fixed(value, 0);
}

std::string human_duration(double seconds) {
  const auto total = static_cast<long>(std::lround(std::max(0.0, seconds)));
  char text[64];
  if (total >= 3600) {
    std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", total / 3600, total / 60 % 60, total % 60);
  } else {
    std::snprintf(text, sizeof text, "%ld:%02ld", total / 60, total % 60);
  }
  return text;
}

}  // namespace msd
