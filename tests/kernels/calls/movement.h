// SPDX-License-Identifier: MIT
// Moves of rows, whose references are their operands.
#pragma once

#include <vector>

#include "tests/kernels/calls/memory.h"

namespace msd::calls {

template <typename Memory>
struct Concat {
  /// size.c is not read.
  Concat(const Shape& size, const std::vector<std::int64_t>& widths, Gap gap = {}, Gap y_gap = {},
         Memory memory = {})
      : y(memory.rows({size.n, size.h, size.w, sum(widths)}, y_gap, {})) {
    for (const std::int64_t c : widths) {
      inputs.push_back(memory.rows({size.n, size.h, size.w, c}, gap,
                                   {static_cast<std::uint64_t>(inputs.size()) + 1}));
    }
  }
  static std::int64_t sum(const std::vector<std::int64_t>& widths) {
    std::int64_t all = 0;
    for (const std::int64_t c : widths) all += c;
    return all;
  }
  MSD_CALL(concat, y)
  /// Good until the next args().
  ConcatArgs args() {
    views.clear();
    for (auto& input : inputs) views.push_back(input.view());
    return {views, y.view()};
  }
  std::vector<typename Memory::Rows> inputs;
  typename Memory::Rows y;
  std::vector<ConstView> views;
};

template <typename Memory>
struct Copy {
  explicit Copy(const Shape& s, Gap gap = {}, Gap y_gap = {}, Memory memory = {})
      : x(memory.rows(s, gap, {1})), y(memory.rows(s, y_gap, {})) {}
  MSD_CALL(copy, y)
  CopyArgs args() { return {x.view(), y.view()}; }
  typename Memory::Rows x, y;
};

template <typename Memory>
struct Accumulate {
  explicit Accumulate(const Shape& s, Gap gap = {}, Gap y_gap = {}, Memory memory = {})
      : x(memory.rows(s, gap, {1})), y(memory.rows(s, y_gap, kOld)) {}
  MSD_CALL(accumulate, y)
  AccumulateArgs args() { return {x.view(), y.view()}; }
  void start() { fill_again(y, kOld); }
  static constexpr Content kOld = {2};
  typename Memory::Rows x, y;
};

template <typename Memory>
struct Fill {
  Fill(const Shape& s, double number, Gap gap = {}, Memory memory = {})
      : value(number), y(memory.rows(s, gap, {})) {}
  MSD_CALL(fill, y)
  FillArgs args() { return {y.view(), value}; }
  double value;
  typename Memory::Rows y;
};

}  // namespace msd::calls
