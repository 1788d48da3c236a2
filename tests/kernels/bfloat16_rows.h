// SPDX-License-Identifier: MIT
// bf16 activations for the tests of the CUDA backends. An op reads them, computes as in f32 and
// rounds once, so the f32 op on the widened numbers tells its result to the bit.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <tuple>
#include <vector>

#include "tests/kernels/call_runs.h"

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
  Bf16Rows& random(std::uint64_t seed, double low = -1.0, double high = 1.0) {
    Random random(seed);
    return fill([&] { return static_cast<float>(random.uniform(low, high)); });
  }
  Bf16Rows& integers(std::uint64_t seed, std::int64_t low = -4, std::int64_t high = 4) {
    Random random(seed);
    return fill([&] { return static_cast<float>(random.integer(low, high)); });
  }
  Bf16Rows& poison() {
    memory_.assign(static_cast<std::size_t>(rows() * pitch()), kGuard);
    return *this;
  }
  View view() {
    return {memory_.data() + gap_.before, DType::bf16, n_, h_, w_, channels_, pitch()};
  }
  /// The same numbers as floats.
  Operand<float> wide() const {
    Operand<float> floats(n_, h_, w_, channels_);
    std::vector<float> values;
    for (std::int64_t i = 0; i < elems(); ++i) values.push_back(widened(memory_[place(i)]));
    floats.set(values);
    return floats;
  }
  /// Holds the floats rounded, and its guards.
  testing::AssertionResult equals(const Operand<float>& floats) const {
    const std::vector<float> values = floats.values();
    for (std::int64_t i = 0; i < elems(); ++i) {
      const float value = values.at(static_cast<std::size_t>(i));
      if (memory_[place(i)] == rounded(value)) continue;
      return testing::AssertionFailure()
             << "element " << i << " is " << widened(memory_[place(i)]) << ", in f32 " << value;
    }
    return intact();
  }
  testing::AssertionResult intact() const {
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
  std::size_t place(std::int64_t i) const {
    return static_cast<std::size_t>(i / channels_ * pitch() + gap_.before + i % channels_);
  }
  template <typename Next>
  Bf16Rows& fill(Next next) {
    for (std::int64_t i = 0; i < elems(); ++i) memory_[place(i)] = rounded(next());
    return *this;
  }
  std::int64_t n_, h_, w_, channels_;
  Gap gap_;
  std::vector<std::uint16_t, OperandAllocator<std::uint16_t>> memory_;
};

/// A call's memory (calls/memory.h) with bf16 activations.
struct Bf16 : Guarded<float> {
  using Rows = Bf16Rows;
  static Rows rows(calls::Shape s, Gap gap, calls::Content content) {
    return filled(Rows(s.n, s.h, s.w, s.c, gap), content);
  }
  static Rows shared_rows(std::int64_t count) { return rows({1, 1, 1, count}, {}, {}); }
};

/// Floats that are bf16 when random.
struct RoundedRows : Operand<float> {
  using Operand<float>::Operand;
  RoundedRows& random(std::uint64_t seed, double low = -1.0, double high = 1.0) {
    Operand<float>::random(seed, low, high);
    std::vector<float> numbers = values();
    for (float& number : numbers) number = widened(rounded(number));
    set(numbers);
    return *this;
  }
};

/// The same numbers in f32.
struct WideBf16 : Guarded<float> {
  using Rows = RoundedRows;
  static Rows rows(calls::Shape s, Gap, calls::Content content) {
    return filled(Rows(s.n, s.h, s.w, s.c), content);
  }
  static Rows shared_rows(std::int64_t count) { return rows({1, 1, 1, count}, {}, {}); }
};

/// Rounded where the output is bf16, else bit for bit.
inline testing::AssertionResult rounds_to(const Bf16Rows& narrow, const Operand<float>& wide) {
  return narrow.equals(wide);
}
template <typename E>
testing::AssertionResult rounds_to(const Operand<E>& narrow, const Operand<E>& wide) {
  MSD_RETURN_IF_FAILED(narrow.intact());
  Outputs mine, theirs;
  mine.keep("a number beside the activations", narrow);
  theirs.keep("a number beside the activations", wide);
  return mine.identical(theirs);
}

/// Passes where the op writes in bf16 what it writes in f32 of the same numbers, rounded: both in
/// one group. make(memory): the call in a Bf16 and in a WideBf16.
template <typename Make>
testing::AssertionResult rounds_what_f32_gives(Make make) {
  auto narrow = make(Bf16{});
  auto wide = make(WideBf16{});
  return on_every_backend([&](ExecutionContext& context, Outputs&) {
    prepare(context, narrow), prepare(context, wide);
    const std::array group = {narrow.args(), wide.args()};
    narrow.kOp(context, group);
    testing::AssertionResult result = testing::AssertionSuccess();
    if constexpr (requires { narrow.workspace; }) result = narrow.workspace.intact();
    const auto compared = [&](const auto& of_narrow, const auto& of_wide) {
      if (result) result = rounds_to(of_narrow, of_wide);
    };
    std::apply(
        [&](auto&... of_narrow) {
          std::apply([&](auto&... of_wide) { (compared(of_narrow, of_wide), ...); },
                     wide.outputs());
        },
        narrow.outputs());
    return result;
  });
}

}  // namespace msd::test
