// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

namespace msd {

/// What every exit said of every sample, row-major [samples][exits].
struct ExitRecords {
  std::int64_t exits = 0;
  std::vector<std::int32_t> labels;      // [samples]
  std::vector<float> confidence;         // largest softmax probability
  std::vector<std::int32_t> prediction;  // its class
  std::vector<std::uint8_t> top5;        // 1: the label is among the five likeliest
  // The same for the running mean of the softmax outputs of exits 1..k.
  std::vector<std::int32_t> ensemble_prediction;
  std::vector<std::uint8_t> ensemble_top5;

  std::int64_t samples() const { return static_cast<std::int64_t>(labels.size()); }
  /// Index of one sample's value of one exit.
  std::size_t at(std::int64_t sample, std::int64_t exit) const {
    return static_cast<std::size_t>(sample * exits + exit);
  }
  /// Adds the samples of `more`, whose vectors may be longer than these need, and takes its exits.
  void append(const ExitRecords& more);
};

}  // namespace msd
