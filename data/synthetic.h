// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "data/dataset.h"

namespace msd {

namespace cpu {
class ThreadPool;
}

/// The built-in data set: what to make.
struct SyntheticOptions {
  std::uint64_t seed = 1;
  std::int64_t train = 10000, test = 2000;  // images; each >= 1
};

/// Difficulties of the synthetic images: 0 (large, upright, clean) to kSyntheticLevels - 1 (small,
/// turned, stretched, among distractors, half hidden, noisy).
inline constexpr int kSyntheticLevels = 8;

/// The difficulty of image `index` of either part. Labels are index % 10; every run of
/// 10 * kSyntheticLevels images holds each class at each level once.
constexpr int synthetic_level(std::int64_t index) {
  return static_cast<int>(index / 10 % kSyntheticLevels);
}

/// 32x32 colour images of 10 shapes that come in look-alike pairs (disc and ring, square and frame,
/// triangle and star, cross and tee, two and three bars): the outline tells the pair, a hole, an
/// arm or a count tells which. The largest object is the labelled one. Colours say nothing of the
/// class. The same bits for a seed on every machine, whatever the number of threads; image i of a
/// part does not depend on how many there are. mean and std are those of the training images. pool:
/// threads to share the work, may be null. Throws ConfigError for fewer than one image.
Dataset make_synthetic(const SyntheticOptions& options, cpu::ThreadPool* pool = nullptr);

}  // namespace msd
