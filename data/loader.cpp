// SPDX-License-Identifier: MIT
#include "data/loader.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <new>
#include <utility>

#include "engine/random.h"
#include "kernels/check.h"
#include "kernels/cpu/device/op_table.h"
#include "kernels/cpu/device/thread_pool.h"

namespace msd {
namespace {

constexpr std::int64_t kBorder = 4;  // pixels, standard augmentation

CropFlip draw_crop(std::uint64_t seed, std::int64_t epoch, std::int64_t sample) {
  RandomStream random(seed, RandomPurpose::augmentation, static_cast<std::uint64_t>(epoch),
                      static_cast<std::uint64_t>(sample));
  CropFlip crop;
  crop.top = static_cast<std::int32_t>(random.below(2 * kBorder + 1) - kBorder);
  crop.left = static_cast<std::int32_t>(random.below(2 * kBorder + 1) - kBorder);
  crop.flip = random.below(2) == 1;
  return crop;
}

void check(const ImageSet& set, const std::vector<std::int64_t>& indices,
           const LoaderOptions& options) {
  MSD_CHECK(set.c >= 1 && set.c <= 3 && set.h >= 1 && set.w >= 1, "loader: images of ", set.h, "x",
            set.w, "x", set.c);
  MSD_CHECK(static_cast<std::int64_t>(set.images.size()) == set.size() * set.image_elems(),
            "loader: ", set.images.size(), " bytes for ", set.size(), " images");
  for (const std::int64_t index : indices) {
    MSD_CHECK(index >= 0 && index < set.size(), "loader: index ", index, " of ", set.size(),
              " images");
  }
  const auto count = static_cast<std::int64_t>(indices.size());
  if (options.batch_size < 1) {
    throw ConfigError(message("batch size ", options.batch_size, "; use at least 1"));
  }
  if (count == 0) throw ConfigError("no images to load");
  if (options.drop_last && count < options.batch_size) {
    throw ConfigError(message("the ", count, " images do not fill one batch of --batch-size ",
                              options.batch_size, ", and --drop-last leaves short ones out; use a ",
                              "smaller --batch-size or leave --drop-last out"));
  }
  if (options.workers < 0 || options.workers > 256) {
    throw ConfigError(message("loader: ", options.workers, " workers; use 0 to 256 workers"));
  }
  if (options.dtype != DType::f32 && options.dtype != DType::f64) {
    throw ConfigError(message("loader: images as ", name(options.dtype), "; use f32 or f64"));
  }
  for (const float std : options.std) {
    if (!(std > 0.0f)) throw ConfigError(message("loader: standard deviation ", std));
  }
}

}  // namespace

struct Loader::Slot {
  struct FreeAligned {
    void operator()(void* p) const noexcept { std::free(p); }
  };

  Slot(const ImageSet& set, const LoaderOptions& options) {
    const auto n = static_cast<std::size_t>(options.batch_size);
    const std::int64_t pitch = row_pitch(set.c, options.dtype);
    const std::int64_t bytes =
        round_up(options.batch_size * set.h * set.w * pitch * size_bytes(options.dtype), 64);
    if (options.pixels) {
      memory.reset(std::aligned_alloc(64, static_cast<std::size_t>(bytes)));
      if (memory == nullptr) {
        throw OutOfMemory(message("no memory for a batch of ", bytes, " bytes"));
      }
    }
    batch.images = {memory.get(), options.dtype, 0, set.h, set.w, set.c, pitch};
    labels.resize(n);
    samples.resize(n);
    crops.resize(n);
    batch.labels = labels.data();
    batch.samples = samples.data();
    if (options.augmentation != Augmentation::none) batch.crops = crops.data();
  }

  std::unique_ptr<void, FreeAligned> memory;
  std::vector<std::int32_t> labels;
  std::vector<std::int64_t> samples;
  std::vector<CropFlip> crops;
  Batch batch;
  std::exception_ptr error;
  bool ready = false;
};

struct Loader::Worker {
  explicit Worker(const cpu::OpTable* ops) : pool(1) {
    context.pool = &pool;
    context.cpu_ops = ops;
  }

  cpu::ThreadPool pool;
  ExecutionContext context;
};

Loader::Loader(const ImageSet& set, std::vector<std::int64_t> indices, const LoaderOptions& options)
    : set_(set),
      indices_(std::move(indices)),
      options_(options),
      ops_(options.cpu_ops != nullptr ? options.cpu_ops : &cpu::op_table(cpu::default_isa())),
      normalizer_(host_allocator(), options.mean, options.std),
      order_(indices_) {
  check(set_, indices_, options_);
  const auto count = static_cast<std::int64_t>(indices_.size());
  steps_ = options_.drop_last ? count / options_.batch_size : ceil_div(count, options_.batch_size);
  claimed_ = consumed_ = claimable_ = steps_;  // until an epoch starts
  // One slot more than are prepared ahead, 2 for each worker: the one the caller is using.
  const std::int64_t slots = std::min(2 * std::int64_t{options_.workers} + 1, steps_ + 1);
  for (std::int64_t i = 0; i < slots; ++i) {
    ring_.push_back(std::make_unique<Slot>(set_, options_));
  }
  for (int i = 0; i < std::max(1, options_.workers); ++i) {
    workers_.push_back(std::make_unique<Worker>(ops_));
  }
  threads_.reserve(static_cast<std::size_t>(options_.workers));
  try {
    for (int i = 0; i < options_.workers; ++i) {
      threads_.emplace_back([this, i] { run(*workers_[static_cast<std::size_t>(i)]); });
    }
  } catch (...) {
    stop();
    throw;
  }
}

Loader::~Loader() { stop(); }

void Loader::stop() noexcept {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  work_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

Loader::Slot& Loader::slot_of(std::int64_t step) const {
  return *ring_[static_cast<std::size_t>(step) % ring_.size()];
}

void Loader::start_epoch(std::int64_t epoch, std::int64_t first_step) {
  MSD_CHECK(epoch >= 0 && epoch < std::int64_t{1} << 32, "loader: epoch ", epoch);
  MSD_CHECK(first_step >= 0 && first_step <= steps_, "loader: step ", first_step, " of ", steps_);
  std::unique_lock lock(mutex_);
  claimable_ = claimed_;  // nothing more of the old epoch
  done_.wait(lock, [this] { return busy_ == 0; });
  epoch_ = epoch;
  if (options_.shuffle) {
    std::copy(indices_.begin(), indices_.end(), order_.begin());
    RandomStream random(options_.seed, RandomPurpose::shuffle, static_cast<std::uint64_t>(epoch));
    random_shuffle(order_, random);
  }
  for (const std::unique_ptr<Slot>& slot : ring_) {
    slot->ready = false;
    slot->error = nullptr;
  }
  wait_seconds_ = 0.0;
  claimed_ = consumed_ = first_step;
  // The caller holds no batch yet: every slot is free.
  claimable_ = std::min(steps_, first_step + static_cast<std::int64_t>(ring_.size()));
  lock.unlock();
  work_.notify_all();
}

const Batch* Loader::next() {
  const auto start = std::chrono::steady_clock::now();
  if (consumed_ == steps_) return nullptr;
  Slot& slot = slot_of(consumed_);
  if (threads_.empty()) {
    fill(*workers_.front(), slot, consumed_);
    ++consumed_;
  } else {
    std::unique_lock lock(mutex_);
    // The batch returned before is given back, so its slot may be filled again.
    claimable_ = std::min(steps_, consumed_ + static_cast<std::int64_t>(ring_.size()));
    work_.notify_one();
    done_.wait(lock, [&slot] { return slot.ready; });
    if (slot.error) std::rethrow_exception(slot.error);
    slot.ready = false;
    ++consumed_;
  }
  wait_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return &slot.batch;
}

void Loader::fill(Worker& worker, Slot& slot, std::int64_t step) const {
  const std::int64_t first = step * options_.batch_size;
  const std::int64_t n =
      std::min(options_.batch_size, static_cast<std::int64_t>(order_.size()) - first);
  for (std::int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const std::int64_t sample = order_[static_cast<std::size_t>(first + i)];
    slot.samples[at] = sample;
    slot.labels[at] = set_.labels[static_cast<std::size_t>(sample)];
    if (options_.augmentation == Augmentation::standard) {
      slot.crops[at] = draw_crop(options_.seed, epoch_, sample);
    }
  }
  slot.batch.step = step;
  slot.batch.images.n = n;
  if (!options_.pixels) return;
  normalizer_.run(worker.context, {set_.images.data(), set_.size(), set_.h, set_.w},
                  slot.samples.data(), slot.batch.crops, slot.batch.images);
}

void Loader::run(Worker& worker) {
  std::unique_lock lock(mutex_);
  for (;;) {
    work_.wait(lock, [this] { return stop_ || claimed_ < claimable_; });
    if (stop_) return;
    const std::int64_t step = claimed_++;
    Slot& slot = slot_of(step);
    ++busy_;
    lock.unlock();
    try {
      fill(worker, slot, step);
    } catch (...) {
      slot.error = std::current_exception();
    }
    lock.lock();
    --busy_;
    slot.ready = true;
    done_.notify_one();
  }
}

}  // namespace msd
