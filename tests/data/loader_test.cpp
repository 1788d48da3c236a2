// SPDX-License-Identifier: MIT
#include "data/loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <set>
#include <thread>

#include "kernels/cpu/device/op_table.h"
#include "kernels/error.h"
#include "tests/data/loader_batches.h"
#include "tests/support/allocations.h"
#include "tests/support/errors.h"

namespace msd::test {
namespace {

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
  refuse([](LoaderOptions& o) { o.drop_last = true; }, "5 images do not fill one batch of --batch-size 8");
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
}  // namespace msd::test
