// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/runtime.h"
#include "engine/tensor.h"

namespace msd {

/// Brings what softmax_confidence says of an exit's logits to the host, in one copy.
class ConfidenceReader {
 public:
  static constexpr int kTop = 5;

  /// For logits [n,1,1,classes] of `dtype` with n <= max_batch. Borrows runtime.
  ConfidenceReader(Runtime& runtime, std::int64_t max_batch, std::int64_t classes, DType dtype);

  /// Runs the op and waits for it. What follows is of these logits until the next call.
  void read(const ConstView& logits);

  /// The largest probability of a sample, in accumulator_of(dtype), and its class.
  double confidence(std::int64_t sample) const;
  std::int32_t argmax(std::int64_t sample) const { return host_argmax()[sample]; }
  /// kTop classes by falling logit; -1 where there are fewer.
  const std::int32_t* top(std::int64_t sample) const { return host_top() + kTop * sample; }
  double probability(std::int64_t sample, std::int64_t label) const;

 private:
  const std::int32_t* host_argmax() const {
    return reinterpret_cast<const std::int32_t*>(host_ + argmax_offset_);
  }
  const std::int32_t* host_top() const {
    return reinterpret_cast<const std::int32_t*>(host_ + top_offset_);
  }

  Runtime& runtime_;
  DType dtype_;
  View probabilities_;  // of max_batch samples
  std::int64_t argmax_offset_, top_offset_, probabilities_offset_;
  Buffer results_;  // max, argmax, top, probabilities
  std::vector<std::byte> copy_;
  const std::byte* host_ = nullptr;  // results_ or copy_
};

/// The same order of classes for probabilities, or sums of them, on the host: those of the
/// out.size() largest, falling, ties by rising index; -1 where there are fewer.
void likeliest_classes(std::span<const double> probabilities, std::span<std::int32_t> out);

}  // namespace msd
