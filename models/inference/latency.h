// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace msd {

/// The smallest of `values` that at least a share q of them does not exceed; q = 0.5: the (lower)
/// median. 0 where there are none.
inline double quantile(std::vector<double> values, double q) {
  if (values.empty()) return 0.0;
  const auto rank =
      static_cast<std::size_t>(std::max(1.0, std::ceil(q * static_cast<double>(values.size()))));
  const auto nth = values.begin() + static_cast<std::ptrdiff_t>(std::min(rank, values.size())) - 1;
  std::nth_element(values.begin(), nth, values.end());
  return *nth;
}

/// How long each stage of a plan is expected to take: the median of its last runs.
class StageTimes {
 public:
  explicit StageTimes(std::int64_t stages) : times_(static_cast<std::size_t>(stages)) {}

  void add(std::int64_t stage, double microseconds) {
    Ring& ring = times_[static_cast<std::size_t>(stage)];
    if (ring.values.size() < kKept) {
      ring.values.push_back(microseconds);
    } else {
      ring.values[ring.next++ % kKept] = microseconds;
    }
  }
  /// Microseconds; 0 where the stage has not run.
  double expected(std::int64_t stage) const {
    return quantile(times_[static_cast<std::size_t>(stage)].values, 0.5);
  }

 private:
  static constexpr std::size_t kKept = 101;
  struct Ring {
    std::vector<double> values;
    std::size_t next = 0;
  };
  std::vector<Ring> times_;
};

}  // namespace msd
