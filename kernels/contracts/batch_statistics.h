// SPDX-License-Identifier: MIT
#pragma once

#include "kernels/view.h"

namespace msd {

/// What a convolution can leave of its output for the batch norm that reads it, so that this needs
/// no pass over its input for mean and variance: moments of parts of the rows, of each channel.
/// What the parts are and how they lie is private to the backend and the build. Shared by the
/// argument structs of the two ops; made and kept by who makes those.
struct BatchStatistics {
  void* data = nullptr;    // aligned to 64
  std::int64_t bytes = 0;  // at least batch_statistics_bytes of the output
  /// Set by every conv_forward: its output, whose statistics are in `data`; no data where it left
  /// none.
  ConstView of = {};
};

/// Enough for every backend.
std::int64_t batch_statistics_bytes(const ConstView& output);

}  // namespace msd
