// SPDX-License-Identifier: MIT
// Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel Random
// Numbers: As Easy as 1, 2, 3", SC'11) and streams that are named rather than handed around. What
// a stream yields depends on its name alone, never on which thread asks, or what was drawn before.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "kernels/check.h"

namespace msd {

/// The generator itself: a bijection of the counter for each key, words least significant first.
constexpr std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 2> key,
                                                  std::array<std::uint32_t, 4> counter) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {
        static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(p1),
        static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(p0)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

/// What a stream is for. The values are part of what a seed means: add, never renumber.
enum class RandomPurpose : std::uint32_t {
  weights = 1,       // a = parameter
  shuffle = 2,       // a = epoch
  augmentation = 3,  // a = epoch, b = sample
  holdout = 4,
  synthetic = 5,  // a = 0 train, 1 test; b = image
  test = 6,
};

/// The sequence named (seed, purpose, a, b): 2^34 words, then again from the start; no block of
/// four belongs to another name as well. A small value type: copy it to draw the same again.
/// Integers and uniforms are the same bits on every machine; normal() is as good as the C library's
/// log, sin and cos, which differ in the last bit.
class RandomStream {
 public:
  /// a and b are below 2^32 (ShapeError otherwise).
  RandomStream(std::uint64_t seed, RandomPurpose purpose, std::uint64_t a = 0, std::uint64_t b = 0)
      : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)},
        counter_{0, static_cast<std::uint32_t>(b), static_cast<std::uint32_t>(a),
                 static_cast<std::uint32_t>(purpose)} {
    MSD_CHECK(a >> 32 == 0 && b >> 32 == 0, "random stream: a = ", a, ", b = ", b);
  }

  std::uint32_t next_u32() {
    if (used_ == 4) {
      words_ = philox4x32(key_, counter_);
      ++counter_[0];
      used_ = 0;
    }
    return words_[used_++];
  }

  /// In [0, 1), a multiple of 2^-53.
  double uniform() {
    const std::uint64_t high = next_u32() >> 5;
    const std::uint64_t low = next_u32() >> 6;
    return static_cast<double>((high << 26) | low) * 0x1p-53;
  }

  /// In [lo, hi); hi itself only where rounding leads there.
  double uniform(double lo, double hi) { return std::fma(hi - lo, uniform(), lo); }

  /// In [0, n), each value equally likely (Lemire, ACM TOMACS 2019). 1 <= n <= 2^32.
  std::int64_t below(std::int64_t n) {
    MSD_CHECK(n >= 1 && n <= std::int64_t{1} << 32, "random stream: below(", n, ")");
    const auto range = static_cast<std::uint64_t>(n);
    const std::uint64_t reject = (std::uint64_t{1} << 32) % range;
    for (;;) {
      const std::uint64_t product = next_u32() * range;
      if ((product & 0xFFFFFFFF) >= reject) return static_cast<std::int64_t>(product >> 32);
    }
  }

  /// Mean 0, standard deviation 1 (Box-Muller in double; one draw makes two).
  double normal() {
    if (has_spare_) {
      has_spare_ = false;
      return spare_;
    }
    const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
    const double angle = 6.283185307179586 * uniform();
    spare_ = radius * std::sin(angle);
    has_spare_ = true;
    return radius * std::cos(angle);
  }

 private:
  std::array<std::uint32_t, 2> key_;
  std::array<std::uint32_t, 4> counter_;
  std::array<std::uint32_t, 4> words_{};
  std::uint32_t used_ = 4;
  bool has_spare_ = false;
  double spare_ = 0.0;
};

/// Puts `values` into a random order, each equally likely (Fisher-Yates). Allocates nothing.
inline void random_shuffle(std::span<std::int64_t> values, RandomStream& stream) {
  for (std::size_t left = values.size(); left > 1; --left) {
    const std::int64_t pick = stream.below(static_cast<std::int64_t>(left));
    std::swap(values[left - 1], values[static_cast<std::size_t>(pick)]);
  }
}

/// The numbers 0 .. n-1 in a random order.
inline std::vector<std::int64_t> random_permutation(std::int64_t n, RandomStream& stream) {
  MSD_CHECK(n >= 0, "random permutation of ", n);
  std::vector<std::int64_t> values(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::int64_t>(i);
  random_shuffle(values, stream);
  return values;
}

}  // namespace msd
