// SPDX-License-Identifier: MIT
// How conv_forward leaves batch statistics (implicit_gemm.cu) and batchnorm_forward reads them.
#pragma once

#include "kernels/view.h"

namespace msd::cuda {

/// A part is the rows of the output that one block of implicit GEMM makes: neighbouring ones, the
/// last part has what is left. [parts][2][channels] of float: the rows' mean, then the sum of their
/// squared distances from it. Follows from the shape alone.
struct StatisticsParts {
  std::int64_t rows_each = 0, count = 0;

  StatisticsParts() = default;
  StatisticsParts(std::int64_t rows, std::int64_t channels)
      : rows_each(rows_of_part(channels)), count(ceil_div(rows, rows_each)) {}

  static constexpr std::int64_t rows_of_part(std::int64_t channels) {
    return channels <= 32 ? 128 : 64;
  }
};

}  // namespace msd::cuda
