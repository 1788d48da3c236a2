// SPDX-License-Identifier: MIT
#include "data/loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <thread>

#include "engine/random.h"
#include "kernels/cpu/device/op_table.h"
#include "kernels/error.h"
#include "tests/support/allocations.h"
#include "tests/support/errors.h"

namespace msd {
namespace {

using test::throws;

/// Images of noise; labels are 1000 + position, so that a mix-up shows.
ImageSet noise(std::int64_t count, std::int64_t h = 7, std::int64_t w = 6, std::int64_t c = 3) {
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

std::vector<std::int64_t> first(std::int64_t count) {
  std::vector<std::int64_t> indices(static_cast<std::size_t>(count));
  std::iota(indices.begin(), indices.end(), 0);
  return indices;
}

LoaderOptions training(int workers = 0) {
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

Copy copy_of(const Batch& batch) {
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

std::vector<Copy> rest_of_epoch(Loader& loader) {
  std::vector<Copy> batches;
  while (const Batch* batch = loader.next()) batches.push_back(copy_of(*batch));
  return batches;
}

std::vector<Copy> epoch_of(Loader& loader, std::int64_t epoch, std::int64_t first_step = 0) {
  loader.start_epoch(epoch, first_step);
  return rest_of_epoch(loader);
}

std::vector<std::int64_t> samples_of(const std::vector<Copy>& batches) {
  std::vector<std::int64_t> samples;
  for (const Copy& batch : batches) {
    samples.insert(samples.end(), batch.samples.begin(), batch.samples.end());
  }
  return samples;
}

TEST(Loader, SameBitsWhateverTheWorkers) {
  // Epochs of 2, 9 and 34 batches, of which 2 for each worker are prepared ahead: more or fewer
  // than the epoch has, and with 40 workers one batch each for some, none for the others.
  for (const std::int64_t count : {9, 67, 267}) {
    const ImageSet set = noise(count);
    Loader alone(set, first(count), training());
    const std::vector<Copy> zero = epoch_of(alone, 0), one = epoch_of(alone, 1);
    ASSERT_EQ(static_cast<std::int64_t>(zero.size()), (count + 7) / 8);
    EXPECT_NE(zero, one);
    for (const int workers : {1, 2, 4, 5, 40}) {
      Loader loader(set, first(count), training(workers));
      EXPECT_EQ(epoch_of(loader, 1), one) << workers << " workers, " << count << " images";
      EXPECT_EQ(epoch_of(loader, 0), zero) << workers << " workers, " << count << " images";
      EXPECT_EQ(epoch_of(loader, 0), zero) << "again";
    }
  }
}

TEST(Loader, EnteringAnEpochAnywhereGivesItsTail) {
  const ImageSet set = noise(67);
  for (const int workers : {0, 2}) {
    Loader loader(set, first(67), training(workers));
    const std::vector<Copy> whole = epoch_of(loader, 3);
    for (std::int64_t step = 0; step <= loader.steps_per_epoch(); ++step) {
      Loader resumed(set, first(67), training(workers));
      EXPECT_EQ(epoch_of(resumed, 3, step), std::vector<Copy>(whole.begin() + step, whole.end()));
    }
  }
}

TEST(Loader, AnEpochCanBeLeftInTheMiddle) {
  const ImageSet set = noise(67);
  Loader reference(set, first(67), training());
  const std::vector<Copy> expected = epoch_of(reference, 2);
  for (const int workers : {0, 1, 3}) {
    Loader loader(set, first(67), training(workers));
    for (std::int64_t steps = 0; steps < 9; ++steps) {
      loader.start_epoch(9);
      for (std::int64_t i = 0; i < steps; ++i) ASSERT_NE(loader.next(), nullptr);
      EXPECT_EQ(epoch_of(loader, 2), expected) << workers << " workers, after " << steps;
    }
  }
}

TEST(Loader, WithoutShufflingKeepsTheListsOrder) {
  const ImageSet set = noise(10);
  const std::vector<std::int64_t> list = {3, 9, 1, 1, 7};
  LoaderOptions options;
  options.batch_size = 2;
  Loader loader(set, list, options);
  ASSERT_EQ(loader.steps_per_epoch(), 3);
  for (const std::int64_t epoch : {0, 5}) {
    const std::vector<Copy> batches = epoch_of(loader, epoch);
    EXPECT_EQ(samples_of(batches), list);
    EXPECT_EQ(batches.back().samples.size(), 1u);
    for (const Copy& batch : batches) {
      for (std::size_t i = 0; i < batch.labels.size(); ++i) {
        EXPECT_EQ(batch.labels[i], 1000 + batch.samples[i]);
        const auto image = set.image(batch.samples[i]);
        for (std::size_t e = 0; e < image.size(); ++e) {  // mean 0, std 1: the grey levels
          ASSERT_EQ(batch.pixels[i * image.size() + e], static_cast<double>(image[e]));
        }
      }
    }
  }
}

TEST(Loader, ShufflesByEpochAndSeedAndVisitsEachOnce) {
  const ImageSet set = noise(60, 1, 1, 1);
  std::vector<std::int64_t> odd;
  for (std::int64_t i = 1; i < 60; i += 2) odd.push_back(i);
  std::set<std::vector<std::int64_t>> orders;
  for (const std::uint64_t seed : {1u, 2u}) {
    LoaderOptions options = training(2);
    options.seed = seed;
    Loader loader(set, odd, options);
    for (std::int64_t epoch = 0; epoch < 5; ++epoch) {
      std::vector<std::int64_t> samples = samples_of(epoch_of(loader, epoch));
      orders.insert(samples);
      std::sort(samples.begin(), samples.end());
      EXPECT_EQ(samples, odd);
    }
  }
  EXPECT_EQ(orders.size(), 10u);
}

TEST(Loader, DropLastLeavesOutOnlyTheRest) {
  const ImageSet set = noise(67, 2, 2);
  for (const auto& [count, kept, dropped] :
       std::vector<std::array<std::int64_t, 3>>{{67, 9, 8}, {64, 8, 8}, {8, 1, 1}}) {
    LoaderOptions options = training(2);
    Loader keep(set, first(count), options);
    options.drop_last = true;
    Loader drop(set, first(count), options);
    EXPECT_EQ(keep.steps_per_epoch(), kept);
    EXPECT_EQ(drop.steps_per_epoch(), dropped);
    std::vector<Copy> all = epoch_of(keep, 1);
    ASSERT_EQ(static_cast<std::int64_t>(all.size()), kept);
    all.resize(static_cast<std::size_t>(dropped));
    EXPECT_EQ(epoch_of(drop, 1), all);
  }
}

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

TEST(Loader, GivesNothingBeforeAnEpochAndAfterIt) {
  const ImageSet set = noise(20, 2, 2);
  for (const int workers : {0, 2}) {
    Loader loader(set, first(20), training(workers));
    EXPECT_EQ(loader.next(), nullptr);
    EXPECT_EQ(epoch_of(loader, 0).size(), 3u);
    EXPECT_EQ(loader.next(), nullptr);
    EXPECT_TRUE(epoch_of(loader, 0, 3).empty());
  }
}

TEST(Loader, ABatchStaysWhileOthersArePrepared) {
  const ImageSet set = noise(128);  // 16 batches, so that the 3 or 7 slots are filled many times
  for (const int workers : {1, 3}) {
    Loader loader(set, first(128), training(workers));
    loader.start_epoch(0);
    while (const Batch* batch = loader.next()) {
      const Copy before = copy_of(*batch);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      ASSERT_EQ(copy_of(*batch), before) << workers << " workers, step " << before.step;
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(batch->images.data) % 64, 0u);
      EXPECT_EQ(batch->images.pitch, 4);
    }
  }
}

TEST(Loader, AllocatesNothingOnceMade) {
  const ImageSet set = noise(67);
  for (const int workers : {0, 3}) {
    Loader loader(set, first(67), training(workers));
    loader.start_epoch(0);
    while (loader.next() != nullptr) {
    }
    const long before = test::heap_allocations();
    for (std::int64_t epoch = 1; epoch < 6; ++epoch) {
      loader.start_epoch(epoch, epoch);
      while (loader.next() != nullptr) {
      }
    }
    EXPECT_EQ(test::heap_allocations(), before) << workers << " workers";
  }
}

TEST(Loader, CanBeDestroyedAtAnyMoment) {
  const ImageSet set = noise(200);
  for (const int workers : {0, 1, 4}) {
    for (int steps = -1; steps < 26; ++steps) {
      Loader loader(set, first(200), training(workers));
      if (steps >= 0) loader.start_epoch(0);
      for (int i = 0; i < steps; ++i) loader.next();
    }
  }
}

TEST(Loader, CountsTheTimeItIsWaitedFor) {
  const ImageSet set = noise(640, 32, 32);
  for (const int workers : {0, 2}) {
    Loader loader(set, first(640), training(workers));
    EXPECT_EQ(loader.wait_seconds(), 0.0);
    const auto start = std::chrono::steady_clock::now();
    epoch_of(loader, 0);
    const double passed =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    EXPECT_GT(loader.wait_seconds(), 0.0);
    EXPECT_LE(loader.wait_seconds(), passed);
    loader.start_epoch(1);
    EXPECT_EQ(loader.wait_seconds(), 0.0);
  }
}

// An op that fails at its `failing`-th call.
std::atomic<int> calls{0}, failing{0};
void failing_image_to_float(cpu::ThreadPool& pool, std::span<const ImageToFloatArgs> group) {
  if (++calls == failing.load()) throw FormatError("planted failure");
  cpu::op_table(cpu::Isa::generic).image_to_float(pool, group);
}

TEST(Loader, AWorkersFailureReachesTheCallerAtItsBatch) {
  const ImageSet set = noise(67);
  Loader reference(set, first(67), training());
  const std::vector<Copy> expected = epoch_of(reference, 0);
  cpu::OpTable ops = cpu::op_table(cpu::Isa::generic);
  ops.image_to_float = failing_image_to_float;
  for (const int workers : {0, 1, 3}) {
    LoaderOptions options = training(workers);
    options.cpu_ops = &ops;
    Loader loader(set, first(67), options);
    calls = 0;
    failing = 4;
    loader.start_epoch(0);
    int delivered = 0;
    try {
      while (const Batch* batch = loader.next()) {
        EXPECT_EQ(copy_of(*batch), expected[static_cast<std::size_t>(delivered)]);
        ++delivered;
      }
      ADD_FAILURE() << "nothing was thrown";
    } catch (const FormatError& error) {
      EXPECT_STREQ(error.what(), "planted failure");
    }
    // With several workers the fourth call may prepare another batch than the fourth.
    EXPECT_TRUE(workers > 1 ? delivered < 9 : delivered == 3) << delivered;
    if (workers > 0) {
      EXPECT_THROW(loader.next(), FormatError);
    }
    failing = 0;
    EXPECT_EQ(epoch_of(loader, 0), expected) << "after the failure";
  }
}

TEST(Loader, RefusesOptionsThatCannotWork) {
  const ImageSet set = noise(10, 2, 2);
  const auto refuse = [&](auto change, const std::string& part) {
    LoaderOptions options = training();
    change(options);
    EXPECT_TRUE(throws<ConfigError>([&] { Loader(set, first(5), options); }, {part}));
  };
  refuse([](LoaderOptions& o) { o.batch_size = 0; }, "batch size 0");
  refuse([](LoaderOptions& o) { o.drop_last = true; }, "5 images do not fill one batch of 8");
  refuse([](LoaderOptions& o) { o.workers = -1; }, "-1 workers");
  refuse([](LoaderOptions& o) { o.workers = 1000; }, "1000 workers");
  refuse([](LoaderOptions& o) { o.workers = 257; }, "257 workers");
  refuse([](LoaderOptions& o) { o.dtype = DType::bf16; }, "bf16");
  refuse([](LoaderOptions& o) { o.std[1] = 0.0f; }, "standard deviation 0");
  refuse([](LoaderOptions& o) { o.std[1] = NAN; }, "standard deviation nan");
  EXPECT_TRUE(throws<ConfigError>([&] { Loader(set, {}, training()); }, {"no images"}));
  EXPECT_TRUE(throws<ShapeError>([&] { Loader(set, {0, 10}, training()); }, {"index 10 of 10"}));
  EXPECT_TRUE(throws<ShapeError>([&] { Loader(set, {-1}, training()); }, {"index -1 of 10"}));
  ImageSet bad = noise(10, 2, 2);
  bad.images.pop_back();
  EXPECT_TRUE(
      throws<ShapeError>([&] { Loader(bad, {1}, training()); }, {"119 bytes for 10 images"}));
  const ImageSet deep = noise(3, 2, 2, 4);
  EXPECT_TRUE(throws<ShapeError>([&] { Loader(deep, {1}, training()); }, {"2x2x4"}));
  Loader loader(set, first(10), training());
  EXPECT_TRUE(throws<ShapeError>([&] { loader.start_epoch(-1); }, {"epoch -1"}));
  EXPECT_TRUE(throws<ShapeError>([&] { loader.start_epoch(std::int64_t{1} << 32); }, {"epoch"}));
  EXPECT_TRUE(throws<ShapeError>([&] { loader.start_epoch(0, 3); }, {"step 3 of 2"}));
  EXPECT_TRUE(throws<ShapeError>([&] { loader.start_epoch(0, -1); }, {"step -1 of 2"}));
}

}  // namespace
}  // namespace msd
