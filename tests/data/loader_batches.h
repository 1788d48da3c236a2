// SPDX-License-Identifier: MIT
// What the loader's tests give it, and what they keep of its batches.
#pragma once

#include <cstdint>
#include <numeric>
#include <vector>

#include "data/loader.h"
#include "engine/random.h"

namespace msd::test {

/// Images of noise; labels are 1000 + position, so that a mix-up shows.
inline ImageSet noise(std::int64_t count, std::int64_t h = 7, std::int64_t w = 6,
                      std::int64_t c = 3) {
  ImageSet set;
  set.h = h;
  set.w = w;
  set.c = c;
  RandomStream random(1, RandomPurpose::test);
  for (std::int64_t i = 0; i < count * h * w * c; ++i) {
    set.images.push_back(static_cast<std::uint8_t>(random.below(256)));
  }
  for (std::int64_t i = 0; i < count; ++i) {
    set.labels.push_back(static_cast<std::int32_t>(1000 + i));
  }
  return set;
}

inline std::vector<std::int64_t> first(std::int64_t count) {
  std::vector<std::int64_t> indices(static_cast<std::size_t>(count));
  std::iota(indices.begin(), indices.end(), 0);
  return indices;
}

inline LoaderOptions training(int workers = 0) {
  LoaderOptions options;
  options.batch_size = 8;
  options.shuffle = true;
  options.augmentation = Augmentation::standard;
  options.seed = 42;
  options.workers = workers;
  options.mean = {125.3f, 123.0f, 113.9f};
  options.std = {63.0f, 62.1f, 66.7f};
  return options;
}

/// A copy of a batch, without the pitch.
struct Copy {
  std::vector<double> pixels;
  std::vector<std::int32_t> labels;
  std::vector<std::int64_t> samples;
  std::int64_t step = 0;
  bool operator==(const Copy&) const = default;
};

inline Copy copy_of(const Batch& batch) {
  const View& v = batch.images;
  Copy copy;
  for (std::int64_t row = 0; row < v.rows(); ++row) {
    for (std::int64_t c = 0; c < v.c; ++c) {
      const std::int64_t at = row * v.pitch + c;
      copy.pixels.push_back(v.dtype == DType::f64 ? v.as<double>()[at]
                                                  : static_cast<double>(v.as<float>()[at]));
    }
  }
  copy.labels.assign(batch.labels, batch.labels + v.n);
  copy.samples.assign(batch.samples, batch.samples + v.n);
  copy.step = batch.step;
  return copy;
}

inline std::vector<Copy> rest_of_epoch(Loader& loader) {
  std::vector<Copy> batches;
  while (const Batch* batch = loader.next()) batches.push_back(copy_of(*batch));
  return batches;
}

inline std::vector<Copy> epoch_of(Loader& loader, std::int64_t epoch, std::int64_t first_step = 0) {
  loader.start_epoch(epoch, first_step);
  return rest_of_epoch(loader);
}

inline std::vector<std::int64_t> samples_of(const std::vector<Copy>& batches) {
  std::vector<std::int64_t> samples;
  for (const Copy& batch : batches) {
    samples.insert(samples.end(), batch.samples.begin(), batch.samples.end());
  }
  return samples;
}

}  // namespace msd::test
