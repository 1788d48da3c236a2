// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <utility>

#include "data/loader.h"
#include "engine/random.h"
#include "tests/data/loader_batches.h"

namespace msd::test {
namespace {

TEST(Loader, AugmentationDependsOnSeedEpochAndSampleAlone) {
  const ImageSet set = noise(40);
  Loader loader(set, first(40), training());
  std::map<std::int64_t, std::vector<double>> expected;
  const std::size_t elems = 7 * 6 * 3;
  for (const Copy& batch : epoch_of(loader, 4)) {
    for (std::size_t i = 0; i < batch.samples.size(); ++i) {
      const auto at = batch.pixels.begin() + static_cast<std::ptrdiff_t>(i * elems);
      expected[batch.samples[i]].assign(at, at + elems);
    }
  }
  LoaderOptions options = training(2);
  options.batch_size = 3;
  options.shuffle = false;
  Loader other(set, {39, 2, 17, 5}, options);
  for (const Copy& batch : epoch_of(other, 4)) {
    for (std::size_t i = 0; i < batch.samples.size(); ++i) {
      const auto at = batch.pixels.begin() + static_cast<std::ptrdiff_t>(i * elems);
      EXPECT_EQ(std::vector<double>(at, at + elems), expected[batch.samples[i]]);
    }
  }
}

/// The words documented in engine/random.h: counter {block, sample, epoch, purpose 3}, key = seed;
/// the draws are top, left, flip. (A redraw has a chance of 4 in 2^32.)
struct Draw {
  std::int64_t top, left;
  bool flip;
};
Draw naive_draw(std::uint32_t seed, std::uint32_t epoch, std::uint32_t sample) {
  const auto words = philox4x32({seed, 0}, {0, sample, epoch, 3});
  const auto ninth = [](std::uint32_t word) {
    return static_cast<std::int64_t>(static_cast<double>(word) * 9.0 / 4294967296.0);
  };
  return {ninth(words[0]), ninth(words[1]), words[2] >= 0x80000000u};
}

/// Normalise, put a border of 4 zeros around, cut out, mirror; in double.
std::vector<double> naive_standard(const ImageSet& set, std::int64_t sample, const Draw& draw,
                                   const LoaderOptions& options) {
  const std::int64_t wide = set.w + 8;
  std::vector<double> padded(static_cast<std::size_t>((set.h + 8) * wide * set.c), 0.0);
  const auto image = set.image(sample);
  for (std::int64_t y = 0; y < set.h; ++y) {
    for (std::int64_t x = 0; x < set.w; ++x) {
      for (std::int64_t c = 0; c < set.c; ++c) {
        const auto channel = static_cast<std::size_t>(c);
        const double grey = image[static_cast<std::size_t>((y * set.w + x) * set.c + c)];
        padded[static_cast<std::size_t>(((y + 4) * wide + x + 4) * set.c + c)] =
            (grey - static_cast<double>(options.mean[channel])) /
            static_cast<double>(options.std[channel]);
      }
    }
  }
  std::vector<double> out;
  for (std::int64_t y = 0; y < set.h; ++y) {
    for (std::int64_t x = 0; x < set.w; ++x) {
      const std::int64_t from = draw.left + (draw.flip ? set.w - 1 - x : x);
      for (std::int64_t c = 0; c < set.c; ++c) {
        out.push_back(padded[static_cast<std::size_t>(((y + draw.top) * wide + from) * set.c + c)]);
      }
    }
  }
  return out;
}

TEST(Loader, StandardAugmentationMatchesANaiveOne) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const std::int64_t channels : {1, 3}) {
      const ImageSet set = noise(50, 5, 9, channels);
      LoaderOptions options = training(2);
      options.dtype = dtype;
      Loader loader(set, first(50), options);
      for (const std::int64_t epoch : {0, 7}) {
        for (const Copy& batch : epoch_of(loader, epoch)) {
          std::vector<double> expected;
          for (const std::int64_t sample : batch.samples) {
            const Draw draw = naive_draw(42, static_cast<std::uint32_t>(epoch),
                                         static_cast<std::uint32_t>(sample));
            const std::vector<double> image = naive_standard(set, sample, draw, options);
            expected.insert(expected.end(), image.begin(), image.end());
          }
          ASSERT_EQ(batch.pixels.size(), expected.size());
          for (std::size_t i = 0; i < expected.size(); ++i) {
            // Two roundings of (grey - mean) and its product with a rounded 1/std; |value| < 4.
            const double tolerance = 4.0 * (dtype == DType::f32 ? 1.2e-7 : 2.3e-16) * 4.0;
            ASSERT_TRUE(std::abs(batch.pixels[i] - expected[i]) <= tolerance)
                << batch.pixels[i] << " for " << expected[i] << " at " << i;
          }
        }
      }
    }
  }
}

TEST(Loader, EveryCropOccursAndHalfAreMirrored) {
  // Each pixel holds its own place, so that a crop can be read off the middle of the result.
  ImageSet set = noise(100, 32, 32, 3);
  for (std::size_t i = 0; i < set.images.size(); i += 3) {
    set.images[i] = static_cast<std::uint8_t>(i / 3 / 32 % 32);
    set.images[i + 1] = static_cast<std::uint8_t>(i / 3 % 32);
  }
  LoaderOptions options = training();
  options.batch_size = 100;
  options.mean = {};
  options.std = {1.0f, 1.0f, 1.0f};
  Loader loader(set, first(100), options);
  std::map<std::pair<int, int>, int> crops;
  int mirrored = 0;
  const int epochs = 162;
  for (int epoch = 0; epoch < epochs; ++epoch) {
    loader.start_epoch(epoch);
    const Batch* batch = loader.next();
    ASSERT_NE(batch, nullptr);
    for (std::int64_t i = 0; i < 100; ++i) {
      const float* middle =
          batch->images.as<float>() + ((i * 32 + 16) * 32 + 16) * batch->images.pitch;
      const float step = middle[batch->images.pitch + 1] - middle[1];
      ASSERT_EQ(std::abs(step), 1.0f);
      mirrored += step < 0.0f ? 1 : 0;
      const int left = static_cast<int>(middle[1]) - (step < 0.0f ? 15 : 16);
      ++crops[{static_cast<int>(middle[0]) - 16, left}];
    }
  }
  // 16200 draws: 200 a crop, standard deviation 14.1; mirrored 8100, 63.6. 6 of them.
  EXPECT_EQ(crops.size(), 81u);
  for (const auto& [crop, count] : crops) {
    EXPECT_TRUE(std::abs(crop.first) <= 4 && std::abs(crop.second) <= 4);
    EXPECT_NEAR(count, 200, 85) << crop.first << ", " << crop.second;
  }
  EXPECT_NEAR(mirrored, 8100, 382);
}

}  // namespace
}  // namespace msd::test
