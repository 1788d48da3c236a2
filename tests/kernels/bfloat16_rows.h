// SPDX-License-Identifier: MIT
// bf16 activations for the tests of the CUDA backends. An op reads them, computes as in f32 and
// rounds once, so the f32 op on the widened numbers tells its result to the bit.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "tests/kernels/op_harness.h"

namespace msd::test {

inline constexpr std::uint16_t kGuard = 0x7FC1;  // a NaN that no op makes

inline float widened(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }
/// To nearest, ties to even.
inline std::uint16_t rounded(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

/// Rows of c bf16 channels between those of the gap.
class Bf16Rows {
 public:
  Bf16Rows(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t channels, Gap gap)
      : n_(n), h_(h), w_(w), channels_(channels), gap_(gap) {
    poison();
  }
  Bf16Rows(std::int64_t n, std::int64_t rows, std::int64_t channels, Gap gap = {3, 2})
      : Bf16Rows(n, rows, 1, channels, gap) {}
  Bf16Rows& random(std::uint64_t seed) {
    Random random(seed);
    for (std::int64_t i = 0; i < elems(); ++i) {
      at(i) = rounded(static_cast<float>(random.uniform(-2.0, 2.0)));
    }
    return *this;
  }
  Bf16Rows& integers(std::uint64_t seed) {
    Random random(seed);
    for (std::int64_t i = 0; i < elems(); ++i) {
      at(i) = rounded(static_cast<float>(random.integer(-60, 60)));
    }
    return *this;
  }
  Bf16Rows& poison() {
    memory_.assign(static_cast<std::size_t>(rows() * pitch()), kGuard);
    return *this;
  }
  View view() {
    return {memory_.data() + gap_.before, DType::bf16, n_, h_, w_, channels_, pitch()};
  }
  /// The same numbers as floats.
  Operand<float> wide() {
    Operand<float> floats(n_, h_, w_, channels_);
    for (std::int64_t i = 0; i < floats.elems(); ++i) floats.data()[i] = widened(at(i));
    return floats;
  }
  /// Holds the floats rounded, and its guards.
  testing::AssertionResult equals(const Operand<float>& floats) {
    for (std::int64_t i = 0; i < floats.elems(); ++i) {
      if (at(i) == rounded(floats.data()[i])) continue;
      return testing::AssertionFailure()
             << "element " << i << " is " << widened(at(i)) << ", in f32 " << floats.data()[i];
    }
    for (std::int64_t i = 0; i < rows() * pitch(); ++i) {
      const std::int64_t channel = i % pitch() - gap_.before;
      const bool guard = channel < 0 || channel >= channels_;
      if (guard && memory_[static_cast<std::size_t>(i)] != kGuard) {
        return testing::AssertionFailure() << "wrote beside row " << i / pitch();
      }
    }
    return testing::AssertionSuccess();
  }

 private:
  std::int64_t rows() const { return n_ * h_ * w_; }
  std::int64_t elems() const { return rows() * channels_; }
  std::int64_t pitch() const { return gap_.before + channels_ + gap_.after; }
  std::uint16_t& at(std::int64_t i) {
    return memory_[static_cast<std::size_t>(i / channels_ * pitch() + gap_.before + i % channels_)];
  }
  std::int64_t n_, h_, w_, channels_;
  Gap gap_;
  std::vector<std::uint16_t, OperandAllocator<std::uint16_t>> memory_;
};

struct Shape {
  std::int64_t n, rows, c;
};
inline constexpr Shape kShapes[] = {{1, 2, 1}, {2, 35, 6}, {3, 300, 24}, {1, 17, 70}};

#define MSD_RETURN_IF_FAILED(expression) \
  if (testing::AssertionResult result_ = (expression); !result_) return result_

}  // namespace msd::test
